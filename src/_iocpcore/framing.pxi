# Where packets begin and end: a length field of 1, 2 or 4 bytes, then the rest.


# The whole length of the packet that begins at `p`, header included; at least `header` bytes are there.
cdef inline uint64_t packet_size(const FramingRules *rules, const char *p) noexcept nogil:
    cdef const uint8_t *b = <const uint8_t *>p
    cdef uint64_t size
    if rules.header == 1:
        size = b[0]
    elif rules.header == 2:
        size = <uint64_t>b[0] << 8 | b[1] if rules.big_endian else <uint64_t>b[1] << 8 | b[0]
    elif rules.big_endian:
        size = <uint64_t>b[0] << 24 | <uint64_t>b[1] << 16 | <uint64_t>b[2] << 8 | b[3]
    else:
        size = <uint64_t>b[3] << 24 | <uint64_t>b[2] << 16 | <uint64_t>b[1] << 8 | b[0]
    return size if rules.counts_header else size + rules.header


# What is wrong with a packet of this length: a reason, or NO_REASON.
cdef inline int judge_size(const FramingRules *rules, uint64_t size) noexcept nogil:
    if size < <uint64_t>rules.header:
        return LENGTH_TOO_SMALL
    if size > rules.max_size:
        return LENGTH_TOO_LARGE
    return NO_REASON


# Look through `size` bytes: how many of them are whole packets, how many packets, and what is wrong behind them.
# Invariant: whole <= size, and at `whole` begins a packet that is not there whole, or one with a wrong length.
cdef int scan_packets(const FramingRules *rules, const char *data, size_t size, size_t *whole, int64_t *packets) noexcept nogil:
    cdef size_t at = 0
    cdef int64_t count = 0
    cdef uint64_t length
    cdef int verdict = NO_REASON
    while size - at >= <size_t>rules.header:
        length = packet_size(rules, data + at)
        verdict = judge_size(rules, length)
        if verdict != NO_REASON or length > size - at:
            break
        at += <size_t>length
        count += 1
    whole[0] = at
    packets[0] = count
    return verdict
