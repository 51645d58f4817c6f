# What the program asked for, checked, and in the core's units.


cdef int check_int(object value, str name, int low, int high) except? -1:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low} and {high}, not {value!r}")
    return value


cdef double check_seconds(object value, str name, double high) except? -1.0:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 <= value <= high:
        raise ValueError(f"{name} must be between 0 and {high:g} seconds, not {value!r}")
    return value


cdef int64_t nanoseconds(object seconds):
    return 0 if seconds is None else max(1, <int64_t>(min(<double>seconds, 3e8) * 1e9))


cdef void read_rules(Rules *rules, object limits):
    rules.sessions = limits.sessions or 0
    rules.sessions_per_address = limits.sessions_per_address or 0
    rules.packets_per_second = limits.packets_per_second or 0
    rules.login_timeout = nanoseconds(limits.login_timeout)
    rules.idle_timeout = nanoseconds(limits.idle_timeout)
    rules.send_timeout = nanoseconds(limits.send_timeout)
    rules.queued_bytes = limits.queued_bytes or 0
    rules.pause_above = rules.queued_bytes // 4 if rules.queued_bytes else PAUSE_DEFAULT
    rules.spare_loopback_addresses = limits.spares_loopback("sessions_per_address")
    rules.spare_loopback_rate = limits.spares_loopback("packets_per_second")
