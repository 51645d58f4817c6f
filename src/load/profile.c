#include "profile.h"

int profile_index(struct profile *p, const uint32_t *types)
{
    for (int i = 0; i < PROFILE_TYPES; i++)
        p->by_type[i] = 0;
    for (int i = p->rule_count - 1; i > 0; i--) { /* backwards, so that the first one said is the first one tried */
        uint32_t type = p->type.size ? types[i] : 0;
        if (type >= PROFILE_TYPES)
            return i;
        p->rules[i].next = p->by_type[type];
        p->by_type[type] = (uint8_t)i;
        p->rules[i].has_twin = 0;
        for (int j = p->rules[i].next; j && p->rules[i].role == ROLE_MOVE; j = p->rules[j].next)
            if (p->rules[j].role == ROLE_MOVE && !p->rules[j].stamp.size != !p->rules[i].stamp.size)
                p->rules[i].has_twin = p->rules[j].has_twin = 1;
    }
    return -1;
}

const struct rule *profile_rule(const struct profile *p, const unsigned char *packet, size_t size)
{
    uint32_t type = 0;
    int i;

    if (p->type.size) {
        if (size < (size_t)p->type.offset + p->type.size)
            return NULL;
        type = profile_unsigned(p, p->type, packet);
        if (type >= PROFILE_TYPES)
            return NULL;
    }
    for (i = p->by_type[type]; i; i = p->rules[i].next)
        if (size >= p->rules[i].least && size <= p->rules[i].most)
            return &p->rules[i];
    return NULL;
}

uint32_t profile_unsigned(const struct profile *p, struct field f, const unsigned char *packet)
{
    const unsigned char *at = packet + f.offset;

    if (f.size == 1)
        return at[0];
    if (f.size == 2)
        return p->big_endian ? (uint32_t)at[0] << 8 | at[1] : (uint32_t)at[1] << 8 | at[0];
    if (p->big_endian)
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

int32_t profile_signed(const struct profile *p, struct field f, const unsigned char *packet)
{
    uint32_t value = profile_unsigned(p, f, packet);

    return f.size == 1 ? (int8_t)value : f.size == 2 ? (int16_t)value : (int32_t)value;
}

void profile_write(const struct profile *p, struct field f, unsigned char *packet, uint32_t value)
{
    for (int i = 0; i < f.size; i++) {
        int place = p->big_endian ? f.size - 1 - i : i;
        packet[f.offset + place] = (unsigned char)(value >> (8 * i));
    }
}
