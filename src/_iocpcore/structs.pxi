# The core's data. Structs, because most of what is done to them is done without the interpreter lock.

cdef enum:
    # Completions dequeued at once. Enough that the interpreter lock is taken once for many, few enough that the first one does
    # not wait for the last.
    BATCH = 256
    # What one connection may receive in one turn: the fairness budget. 16 KiB are 1,000 packets of 16 bytes.
    RECEIVE_BUDGET = 16 * 1024
    # What all connections of one turn may receive before handlers run: a worker's cache holds it.
    ARENA = 512 * 1024
    # Buffers gathered in one WSASend, and bytes: the time a slow peer has for them is Limits.send_timeout.
    GATHER = 64
    GATHER_BYTES = 64 * 1024
    # A packet to several receivers is shared from this size on, and always if nothing waits for the receiver; a smaller one
    # behind others is copied to them, since 100 bytes cost less than another buffer in the gathered send.
    SHARE_FROM = 256
    # Without a limit of queued bytes: how much waits before the session is not read from.
    PAUSE_DEFAULT = 256 * 1024

cdef enum:
    ADDRESS_ROOM = 144      # of AcceptEx: any family's address, and 16 bytes more

# What an operation is for (slide: the extended OVERLAPPED's operation kind).
cdef enum:
    RECEIVE = 1
    SEND = 2
    ACCEPT = 3
    CONNECT = 4

# Posted packets have no OVERLAPPED; their key says what they mean. No pointer is that small.
cdef enum:
    KEY_QUIT = 1        # one for each worker: leave
    KEY_CALLS = 2       # post() has calls to make
    KEY_ATTENTION = 3   # connections changed by other threads are to be settled
    KEY_STOP = 4        # stop, from request_stop() or the console
    KEY_TIMERS = 5      # an earlier timer than the one waited for
    KEY_ACCEPT = 6      # the listener's
    KEY_SIGNAL = 7      # a signal has come: Python is to look at it

cdef int64_t NO_TICK = <int64_t>1 << 62     # later than any timer

# The life of a connection. It only ever moves down this list.
cdef enum:
    CONNECTING = 0
    OPEN = 1
    FLUSHING = 2        # ended for the program; what was queued before still leaves
    FINISHING = 3       # all sent, our end of the stream too; what the peer still sends is thrown away until it ends as well
    ENDING = 4          # operations are cancelled; waiting for their completions
    GONE = 5            # socket closed; waiting until nobody mentions it

ctypedef struct Buffer
ctypedef struct Segment
ctypedef struct SendOperation
ctypedef struct TimerNode
ctypedef struct AddressCount
ctypedef struct GroupMembers
ctypedef struct Connection
ctypedef struct Worker
ctypedef struct Core

# A piece of memory from the pool: received bytes that wait for the rest of their packet, or bytes to be sent.
ctypedef struct Buffer:
    Buffer *next            # in the pool's free list
    counter_t references    # segments that point to it (shared by receivers), one for whoever fills it
    uint32_t capacity
    uint32_t used
    uint8_t size_class
    char data[1]

# A stretch of a buffer in one connection's send queue.
ctypedef struct Segment:
    Segment *next
    Buffer *buffer
    char *start
    uint32_t length
    uint8_t own             # the buffer is this queue's alone: the next packet may be appended to it

# The extended OVERLAPPED: what the system knows the operation by, then what we know it by.
ctypedef struct Operation:
    OVERLAPPED overlapped   # first, so that a pointer to the one is a pointer to the other
    int kind
    Connection *connection

ctypedef struct SendOperation:
    Operation operation
    SendOperation *next     # in the pool's free list
    Segment *first          # what it sends, alive until its completion
    uint32_t bytes

ctypedef struct AcceptOperation:
    Operation operation
    SOCKET accepted
    counter_t waiting       # not issued: the system was out of descriptors, a timer will try again
    char addresses[2 * ADDRESS_ROOM]  # the lecture's: address size + 16, twice; 128 fits every family

ctypedef struct TimerNode:
    TimerNode *next
    TimerNode *previous     # NULL: not in the wheel
    int64_t due             # in ticks of 1 ms since the core was made
    bint in_hands           # fired, and some worker has it in a list: neither may it go into the wheel nor its owner go away
    PyObject *timer         # the Timer object, NULL for a connection's guard
    Connection *connection

ctypedef struct AddressCount:
    AddressCount *next
    uint8_t address[16]
    int64_t sessions

ctypedef struct Membership:
    GroupMembers *members
    uint32_t index

ctypedef struct GroupMembers:
    Connection **list
    uint32_t count
    uint32_t capacity

# One connection. It is a part of its Session object, which the core keeps alive until the state is GONE and no list, no
# operation and no worker mentions it any more.
ctypedef struct Connection:
    Operation receive       # the one receive, used again for ever
    PyObject *session
    Core *core
    SOCKET socket
    uint64_t id
    Buffer *partial         # the beginning of a packet whose rest has not come
    # `lock` guards what follows, up to `next`.
    spin_t lock
    flag_t state
    uint8_t reason
    uint8_t receiving       # the receive is outstanding
    uint8_t connecting      # ConnectEx is outstanding
    uint8_t sends           # sends outstanding
    uint8_t flushing        # a thread is inside WSASend for it
    uint8_t scheduled       # in a list of connections to be settled
    uint8_t paused          # not read from, since its output waits
    uint8_t told            # on_disconnect was called, or never needs to be
    uint8_t cancelled       # CancelIoEx was called
    uint8_t forgotten       # socket closed, all given back but the object
    uint8_t reaped          # its last reference is being given up
    uint8_t outgoing
    uint8_t skips           # FILE_SKIP_COMPLETION_PORT_ON_SUCCESS is set and confirmed: what succeeds at once posts no packet
    flag_t logged_in
    flag_t introduced       # on_connect was called
    int error               # the system's, with SYSTEM_ERROR and the like
    Worker *owner           # the worker that handles its events now; nobody else calls handlers for it
    Segment *first
    Segment *last
    int64_t queued          # bytes in the queue and in outstanding sends
    Connection *next        # in a list of connections to be settled
    Connection *next_held   # in its worker's list of those ready to be received from, later of those given up
    # Guards. The times are port_now()'s.
    int64_t connected_at
    counter_t last_packet
    int64_t send_began
    int64_t deadline        # of connecting or finishing
    double tokens           # of the packet rate
    int64_t tokens_at
    TimerNode timer
    AddressCount *counted
    # Groups it is in; guarded by the core's group lock. Nearly always it is one, the group of all.
    Membership in_one
    Membership *in_more
    uint16_t in_more_count
    uint16_t in_more_capacity
    # The peer
    uint8_t address[16]
    uint32_t scope
    uint16_t port
    uint8_t family          # 4 or 6
    uint8_t spared          # a loopback peer, from which default limits are kept away
    # Under `lock` too, but here, where they take no room.
    uint8_t reset           # cut for abuse: closing it resets the connection, whatever its reason says
    uint8_t seen_to         # its handlers are done, or a receive that brought none of them anything; the guard clears it ...
    uint8_t overdue         # ... and counts here how often it was, since a limit that only a packet keeps is over
    player *player          # of a load generator: gets its packets instead of the handler; NULL: none

cdef enum:
    EVENT_ACCEPTED = 1
    EVENT_CONNECTED = 2
    EVENT_PACKETS = 3
    EVENT_ENDED = 4

# Something a handler is to be told.
ctypedef struct Event:
    int kind
    Connection *connection
    char *data              # EVENT_PACKETS: whole packets, one behind the other
    size_t size
    Buffer *buffer          # what `data` lies in, if that is not the worker's arena
    int after               # what is wrong behind the packets: a reason, or NO_REASON
    SOCKET socket           # EVENT_ACCEPTED
    AddressCount *counted
    sockaddr_storage peer

ctypedef struct Worker:
    Core *core
    int number
    counter_t waits_until   # the tick that it waits for; NO_TICK: it does not, or for no timer
    char *arena
    size_t arena_used
    OVERLAPPED_ENTRY entries[BATCH]
    ULONG entry_count
    ULONG entry_next        # entries left over when the arena was full
    Event events[BATCH + 8]
    int event_count
    Connection *dirty       # to be settled after the handlers: sent to, closed ...
    int64_t dirty_since     # when the handlers that left the first of them began; 0: none is left
    Connection *draining    # of the dirty, those whose turn has come, the longest waiting first
    Connection *reaped
    Connection *ready       # their receive completed at once: a queue, or the first would keep the last waiting for ever
    Connection *ready_last
    bint ready_first        # whose turn it is: theirs or the dequeued completions'
    bint has_fired          # there are timers in the core's list
    bint has_calls
    bint must_stop
    bint must_look          # whether a stop is done
    bint signal_came
    int signal_looks        # how often to look for it again
    bint quit
    int failed_waits        # in a row
    int error               # the port's, which ended the worker
    int64_t now
    # Statistics, written by this worker alone
    counter_t batches, completions, largest_batch, receives, sends, bytes_received, bytes_sent
    counter_t packets_received, callbacks, callback_time, handler_errors, timers_fired, accepted, connected, accept_errors

ctypedef struct FramingRules:
    int header
    bint big_endian
    bint counts_header
    uint32_t max_size

ctypedef struct Rules:
    # 0 = no limit. Times in nanoseconds.
    int64_t sessions
    int64_t sessions_per_address
    double packets_per_second
    int64_t login_timeout
    int64_t idle_timeout
    int64_t send_timeout
    int64_t queued_bytes
    int64_t pause_above
    bint spare_loopback_addresses
    bint spare_loopback_rate

cdef enum:
    SIZE_CLASSES = 3

ctypedef struct Pool:
    spin_t lock
    Buffer *buffers[SIZE_CLASSES]
    int64_t idle[SIZE_CLASSES]
    Segment *segments
    SendOperation *sends
    counter_t in_use
    counter_t allocated

cdef enum:
    WHEEL_LEVELS = 4
    WHEEL_SLOTS = 256
    WHEEL_WORDS = 4     # of 64 slots' bits

ctypedef struct Wheel:
    mutex_t lock
    int64_t now                                     # ticks handled
    TimerNode slots[WHEEL_LEVELS][WHEEL_SLOTS]      # heads of circular lists
    TimerNode *fired        # the program's, due and to be called by whoever comes to it first, so that none overtakes another
    TimerNode *fired_last
    uint64_t filled[WHEEL_LEVELS][WHEEL_WORDS]
    counter_t count

# What an engine's workers share.
ctypedef struct Core:
    HANDLE port
    int backend
    int worker_count
    int sends_in_flight     # per connection, see port_sends_in_flight
    bint concurrent         # handlers of different sessions may overlap
    int64_t coalesce        # nanoseconds that the dirty may wait while more is to be received
    Worker *workers
    mutex_t baton           # who holds it runs handlers
    FramingRules framing
    Rules rules
    Pool pool
    Wheel wheel
    int64_t began           # port_now() at tick 0
    counter_t waited_for    # the earliest tick that a worker waits for
    counter_t timer_wake    # KEY_TIMERS is on its way
    counter_t calls_wake
    counter_t attention_wake
    mutex_t attention_lock
    Connection *attention   # to be settled, put there by threads that are no workers
    mutex_t group_lock
    GroupMembers everyone
    mutex_t address_lock
    AddressCount **addresses
    uint32_t address_slots
    SOCKET listener
    AcceptOperation *accepts
    int accept_depth
    int accept_family
    TimerNode accept_timer
    counter_t accepts_in_flight
    counter_t accept_retries
    counter_t ids
    counter_t sessions      # not GONE
    counter_t alive         # sessions whose objects the core holds
    counter_t ops_in_flight
    counter_t packets_queued
    counter_t queued_bytes
    counter_t paused
    counter_t posted
    counter_t stopping      # 0 running, 2 sessions are being flushed, 3 cut
    counter_t stop_asked
    counter_t stop_begun
    counter_t quit_posted
    counter_t ended[REASONS]
    crowd *crowd            # of a load generator: who of its players sends when; NULL: none
    size_t play_room        # bytes of the largest packet that its players send
    TimerNode stop_timer
    TimerNode signal_timer
    counter_t flush_time    # at stop: nanoseconds until what was not sent is cut
    counter_t stop_deadline
