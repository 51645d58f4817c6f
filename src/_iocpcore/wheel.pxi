# Timers: a hierarchical wheel. Level 0 has a slot for each of the next 256 ticks (1 ms), level 1 one for each of the next 256
# times 256 ticks, and so on: four levels reach 49 days, and what lies beyond is put in the last slot and sorted again then.
# Adding, cancelling and firing cost O(1); a timer moves down a level at most three times in its life. Each level has a bit
# for each slot, so that the next tick on which anything happens is found without looking at empty slots.

cdef void wheel_init(Wheel *wheel) noexcept nogil:
    cdef int level, slot
    cdef TimerNode *head
    memset(wheel, 0, sizeof(Wheel))
    mutex_init(&wheel.lock)
    for level in range(WHEEL_LEVELS):
        for slot in range(WHEEL_SLOTS):
            head = &wheel.slots[level][slot]
            head.next = head
            head.previous = head


# With the lock held. A node that is due already fires with the next tick handled.
cdef void wheel_insert(Wheel *wheel, TimerNode *node) noexcept nogil:
    cdef int64_t due = node.due if node.due > wheel.now else wheel.now + 1
    cdef int64_t distance = due - wheel.now
    cdef int level = 0, slot
    cdef TimerNode *head
    # Up to 256 slots ahead and not 255: the slot of `now` itself is empty by now. So whatever moves down when its block begins
    # (one tick before it, see wheel_advance) finds room below.
    while level < WHEEL_LEVELS - 1 and distance > <int64_t>1 << (8 * (level + 1)):
        level += 1
    if distance >= <int64_t>1 << 32:
        due = wheel.now + (<int64_t>1 << 32) - 1
    slot = <int>((due >> (8 * level)) & (WHEEL_SLOTS - 1))
    head = &wheel.slots[level][slot]
    node.next = head
    node.previous = head.previous
    head.previous.next = node
    head.previous = node
    wheel.filled[level][slot >> 6] |= <uint64_t>1 << (slot & 63)
    counter_own(&wheel.count, 1)


# With the lock held. Whether the node was in the wheel.
cdef bint wheel_remove(Wheel *wheel, TimerNode *node) noexcept nogil:
    if node.previous == NULL:
        return False
    node.previous.next = node.next
    node.next.previous = node.previous
    node.previous = NULL    # an empty slot's bit may stay set: then that tick is looked at in vain, once
    counter_own(&wheel.count, -1)
    return True


# How many slots after `start` (1 .. 256) the next one with its bit set lies; 0: none.
cdef int next_filled(const uint64_t *bits, int start) noexcept nogil:
    cdef int distance = 1, slot
    while distance <= WHEEL_SLOTS:
        slot = (start + distance) & (WHEEL_SLOTS - 1)
        if not slot & 63 and bits[slot >> 6] == 0:
            distance += 64
            continue
        if bits[slot >> 6] >> (slot & 63) & 1:
            return distance
        distance += 1
    return 0


# The next tick on which something fires or moves down; -1: never. With the lock held.
cdef int64_t wheel_next(Wheel *wheel) noexcept nogil:
    cdef int64_t best = -1, tick
    cdef int level, distance
    for level in range(WHEEL_LEVELS):
        distance = next_filled(wheel.filled[level], <int>((wheel.now >> (8 * level)) & (WHEEL_SLOTS - 1)))
        if distance:
            tick = ((wheel.now >> (8 * level)) + distance) << (8 * level)
            if best < 0 or tick < best:
                best = tick
    return best


# Take all nodes out of a slot, as a list through `next`.
cdef TimerNode *wheel_empty(Wheel *wheel, int level, int slot) noexcept nogil:
    cdef TimerNode *head = &wheel.slots[level][slot]
    cdef TimerNode *first = head.next
    cdef TimerNode *node = first
    wheel.filled[level][slot >> 6] &= ~(<uint64_t>1 << (slot & 63))
    if first == head:
        return NULL
    head.previous.next = NULL
    head.next = head
    head.previous = head
    while node != NULL:
        node.previous = NULL
        counter_own(&wheel.count, -1)
        node = node.next
    return first


# Go on to tick `target`; what fires is put in front of `fired`, in the order of its ticks. With the lock held.
cdef TimerNode *wheel_advance(Wheel *wheel, int64_t target) noexcept nogil:
    cdef TimerNode *fired = NULL
    cdef TimerNode **end = &fired
    cdef TimerNode *node
    cdef TimerNode *following
    cdef int64_t tick
    cdef int level
    while True:
        tick = wheel_next(wheel)
        if tick < 0 or tick > target:
            break
        # One before the tick: what moves down from a higher level may be due exactly then, and insert looks forward only.
        wheel.now = tick - 1
        for level in range(WHEEL_LEVELS - 1, 0, -1):
            if tick & ((<int64_t>1 << (8 * level)) - 1):
                continue
            node = wheel_empty(wheel, level, <int>((tick >> (8 * level)) & (WHEEL_SLOTS - 1)))
            while node != NULL:
                following = node.next
                wheel_insert(wheel, node)
                node = following
        node = wheel_empty(wheel, 0, <int>(tick & (WHEEL_SLOTS - 1)))
        end[0] = node
        while end[0] != NULL:
            end[0].in_hands = True
            end = &end[0].next
        wheel.now = tick
    if target > wheel.now:
        wheel.now = target
    return fired


cdef inline bint on_worker_of(Core *core) noexcept nogil:
    return worker_of_thread != NULL and (<Worker *>worker_of_thread).core == core


cdef inline int64_t tick_of(Core *core, int64_t now) noexcept nogil:
    return (now - core.began) // 1000000


# Put a timer into the wheel for tick `due`, and see to it that a worker wakes in time. `early`: one that fires earlier is enough.
cdef void timer_start(Core *core, TimerNode *node, int64_t due, bint early) noexcept nogil:
    cdef bint earlier
    mutex_lock(&core.wheel.lock)
    # In hands: whoever has it will start it again.
    if node.in_hands or (early and node.previous != NULL and node.due <= due):
        mutex_unlock(&core.wheel.lock)
        return
    wheel_remove(&core.wheel, node)
    node.due = due
    wheel_insert(&core.wheel, node)
    earlier = due < counter_get(&core.waited_for)
    mutex_unlock(&core.wheel.lock)
    # A worker looks at the wheel before it waits; only those who wait already must be told. Where handlers of several workers may
    # overlap, this one's may run for long.
    if earlier and not (on_worker_of(core) and (core.worker_count == 1 or not core.concurrent)):
        wake_once(core, &core.timer_wake, KEY_TIMERS)


cdef bint timer_stop(Core *core, TimerNode *node) noexcept nogil:
    cdef bint was_there
    mutex_lock(&core.wheel.lock)
    was_there = wheel_remove(&core.wheel, node)
    mutex_unlock(&core.wheel.lock)
    return was_there


# The worker that had a fired timer in its list is done with it.
cdef void timer_hand_back(Core *core, TimerNode *node) noexcept nogil:
    mutex_lock(&core.wheel.lock)
    node.in_hands = False
    mutex_unlock(&core.wheel.lock)


cdef bint timer_in_hands(Core *core, TimerNode *node) noexcept nogil:
    cdef bint answer
    mutex_lock(&core.wheel.lock)
    answer = node.in_hands
    mutex_unlock(&core.wheel.lock)
    return answer


# Ticks are rounded up: a timer never fires early.
cdef inline int64_t due_in(Core *core, int64_t now, int64_t delay) noexcept nogil:
    return (now + delay - core.began + 999999) // 1000000
