# Why a session ended: the numbers of iocp.Reason (src/iocp/reason.py has what each means).

cdef enum:
    CLOSED = 0
    PEER_CLOSED = 1
    PEER_RESET = 2
    SERVER_STOPPED = 3
    SYSTEM_ERROR = 4
    LENGTH_TOO_SMALL = 5
    LENGTH_TOO_LARGE = 6
    PROTOCOL = 7
    HANDLER_ERROR = 8
    PACKET_RATE = 9
    LOGIN_TIMEOUT = 10
    IDLE_TIMEOUT = 11
    SLOW_RECEIVER = 12
    TOO_MANY_SESSIONS = 13
    TOO_MANY_FROM_ADDRESS = 14
    CONNECT_FAILED = 15
    CONNECT_TIMEOUT = 16
    OUT_OF_MEMORY = 17
    REASONS = 18
    NO_REASON = 255

# Those who brought it on themselves: the connection is reset, so that not even the kernel keeps their bytes.
cdef inline bint is_abuse(int reason) noexcept nogil:
    return (reason == SLOW_RECEIVER or reason == PACKET_RATE or reason == LOGIN_TIMEOUT or reason == IDLE_TIMEOUT
            or reason == OUT_OF_MEMORY or reason == TOO_MANY_SESSIONS or reason == TOO_MANY_FROM_ADDRESS)
