#include "histogram.h"

#include <string.h>

#ifdef _MSC_VER
#include <intrin.h>
static int bits_of(uint64_t value)
{
    unsigned long highest;
    _BitScanReverse64(&highest, value);
    return (int)highest + 1;
}
#else
static int bits_of(uint64_t value)
{
    return 64 - __builtin_clzll(value);
}
#endif

void histogram_clear(struct histogram *h)
{
    if (h->first <= h->last)
        memset(h->counts + h->first, 0, (size_t)(h->last - h->first + 1) * sizeof h->counts[0]);
    h->total = 0;
    h->largest = 0;
    h->first = HISTOGRAM_COUNTS;
    h->last = -1;
}

void histogram_record(struct histogram *h, int64_t nanoseconds)
{
    int64_t value = nanoseconds > 0 ? (nanoseconds + 500) / 1000 : 0;
    int bucket, index;

    if (value > HISTOGRAM_LARGEST)
        value = HISTOGRAM_LARGEST;
    bucket = bits_of((uint64_t)value | 2047) - 11;
    index = (bucket << HISTOGRAM_HALF_BITS) + (int)(value >> bucket);
    h->counts[index]++;
    h->total++;
    if (value > h->largest)
        h->largest = value;
    if (index < h->first)
        h->first = index;
    if (index > h->last)
        h->last = index;
}

int64_t histogram_value(int index)
{
    int bucket = (index >> HISTOGRAM_HALF_BITS) - 1;

    if (bucket < 0)
        return index;
    return (int64_t)((index & 1023) + 1024) << bucket;
}
