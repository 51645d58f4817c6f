/*
 * A histogram of microseconds with HdrHistogram's buckets: one record is a shift and an increment.
 *
 * The layout is that of HdrHistogram(1, 3600000000, 3): three significant digits from 1 us to an hour. So the counts can be handed
 * to the HdrHistogram library of any language, which then does percentiles, merging and encoding.
 */
#ifndef IOCP_LOAD_HISTOGRAM_H
#define IOCP_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_HALF_BITS = 10,                       /* three digits take 2048 sub-buckets; all buckets but the first use half */
    HISTOGRAM_BUCKETS = 22,                         /* 2048 << 21 is the first power over an hour */
    HISTOGRAM_COUNTS = (HISTOGRAM_BUCKETS + 1) << HISTOGRAM_HALF_BITS
};
#define HISTOGRAM_LARGEST INT64_C(3600000000)

struct histogram {
    int64_t total;
    int64_t largest;                                /* exact, where a bucket would round; microseconds */
    int first, last;                                /* the counts in use: first > last when there are none */
    int64_t counts[HISTOGRAM_COUNTS];
};

void histogram_clear(struct histogram *h);

/* `nanoseconds` is rounded to microseconds; below 0 counts as 0, above an hour as an hour. */
void histogram_record(struct histogram *h, int64_t nanoseconds);

/* The smallest number of microseconds that is counted at `index`. */
int64_t histogram_value(int index);

#endif
