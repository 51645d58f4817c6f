# A snapshot of the counters. Each worker writes its own; nobody stops while they are read.


cdef snapshot(Engine engine):
    cdef Core *core = engine.core
    cdef Worker *w
    cdef int i
    cdef int64_t largest = 0
    cdef dict sums = dict.fromkeys(
        ("accepted", "connected", "accept_errors", "bytes_received", "bytes_sent", "packets_received", "receives", "sends",
         "batches", "completions", "callbacks", "callback_time", "handler_errors", "timers_fired"), 0)
    for i in range(core.worker_count):
        w = &core.workers[i]
        sums["accepted"] += counter_get(&w.accepted)
        sums["connected"] += counter_get(&w.connected)
        sums["accept_errors"] += counter_get(&w.accept_errors)
        sums["bytes_received"] += counter_get(&w.bytes_received)
        sums["bytes_sent"] += counter_get(&w.bytes_sent)
        sums["packets_received"] += counter_get(&w.packets_received)
        sums["receives"] += counter_get(&w.receives)
        sums["sends"] += counter_get(&w.sends)
        sums["batches"] += counter_get(&w.batches)
        sums["completions"] += counter_get(&w.completions)
        sums["callbacks"] += counter_get(&w.callbacks)
        sums["callback_time"] += counter_get(&w.callback_time)
        sums["handler_errors"] += counter_get(&w.handler_errors)
        sums["timers_fired"] += counter_get(&w.timers_fired)
        largest = max(largest, counter_get(&w.largest_batch))
    sums["callback_time"] = sums["callback_time"] / 1e9
    return _Stats(
        backend=engine.backend,
        workers=core.worker_count,
        uptime=(port_now() - core.began) / 1e9,
        sessions=counter_get(&core.sessions),
        ended={reason: counter_get(&core.ended[number]) for number, reason in _REASONS.items()
               if counter_get(&core.ended[number])},
        accept_retries=counter_get(&core.accept_retries),
        packets_queued=counter_get(&core.packets_queued),
        queued_bytes=queued_bytes(core),
        largest_batch=largest,
        posted=counter_get(&core.posted),
        timers=counter_get(&core.wheel.count),
        ops_in_flight=counter_get(&core.ops_in_flight),
        buffers_in_use=counter_get(&core.pool.in_use),
        buffers_allocated=counter_get(&core.pool.allocated),
        paused=counter_get(&core.paused),
        **sums)


cdef int64_t queued_of(Connection *c) noexcept nogil:
    cdef int64_t queued
    spin_lock(&c.lock)
    queued = c.queued
    spin_unlock(&c.lock)
    return queued


cdef int64_t queued_bytes(Core *core) noexcept nogil:
    cdef int64_t sum = 0
    cdef uint32_t i
    mutex_lock(&core.group_lock)
    for i in range(core.everyone.count):
        sum += queued_of(core.everyone.list[i])
    mutex_unlock(&core.group_lock)
    return sum
