# A protocol for the load generator: from the plain values that iocp.load.protocol hands over to C.

cdef dict _ROLES = {"ignored": ROLE_IGNORED, "welcome": ROLE_WELCOME, "refused": ROLE_REFUSED, "move": ROLE_MOVE,
                    "enter": ROLE_ENTER, "leave": ROLE_LEAVE, "echo": ROLE_ECHO}


cdef field read_field(object value, str name, size_t room) except *:
    """(offset, size) or None; it must end within `room` bytes."""
    cdef field f
    f.offset = 0
    f.size = 0
    if value is None:
        return f
    offset, size = value
    f.offset = <uint16_t>check_int(offset, f"{name}: offset", 0, 65535)
    f.size = <uint8_t>check_int(size, f"{name}: size", 1, 4)
    if f.size == 3:
        raise ValueError(f"{name}: size must be 1, 2 or 4, not 3")
    if f.offset + f.size > room:
        raise ValueError(f"{name}: lies at bytes {offset} to {offset + size - 1}, behind a packet of {room} bytes")
    return f


cdef void read_rule(rule *r, object values) except *:
    role, least, most, id, x, y, stamp = values
    if role not in _ROLES:
        raise ValueError(f"role must be one of {', '.join(_ROLES)}, not {role!r}")
    r.role = _ROLES[role]
    r.least = <uint32_t>check_int(least, "least", 1, 0x7FFFFFFF)
    r.most = <uint32_t>check_int(most, "most", least, 0x7FFFFFFF)
    r.id = read_field(id, f"id of {role}", r.least)
    r.x = read_field(x, f"x of {role}", r.least)
    r.y = read_field(y, f"y of {role}", r.least)
    r.stamp = read_field(stamp, f"stamp of {role}", r.least)
    if role in ("enter", "leave") and id is None:
        raise ValueError(f"{role} needs an id")


cdef uint32_t read_opening(unsigned char *to, bytes packet, str name) except? 0xFFFFFFFF:
    if len(packet) > PROFILE_OPENING:
        raise ValueError(f"{name} has {len(packet)} bytes, {PROFILE_OPENING} at most")
    memcpy(to, PyBytes_AS_STRING(packet), len(packet))
    return <uint32_t>len(packet)


cdef void read_profile(profile *p, bint big_endian, object type, list rules, bytes login, object number, bytes teleport,
                       bytes move, object direction, object stamp, list steps, object spot) except *:
    """Fill `p`, whose `move` then points into the bytes object `move`."""
    cdef uint32_t[64] types
    cdef int i, wrong
    memset(p, 0, sizeof(profile))
    p.big_endian = big_endian
    p.type = read_field(type, "type", 65536)
    if not 1 <= len(rules) < PROFILE_RULES:
        raise ValueError(f"there must be 1 to {PROFILE_RULES - 1} packets, not {len(rules)}")
    p.rule_count = <int>len(rules) + 1
    types[0] = 0
    for i in range(1, p.rule_count):
        types[i] = <uint32_t>check_int(rules[i - 1][0], "type", 0, PROFILE_TYPES - 1)
        read_rule(&p.rules[i], rules[i - 1][1:])
    wrong = profile_index(p, types)
    if wrong >= 0:
        raise ValueError(f"type {types[wrong]} is over {PROFILE_TYPES - 1}")
    p.login_size = read_opening(p.login, login, "login")
    p.teleport_size = read_opening(p.teleport, teleport, "teleport")
    if number is not None:      # the one field that is text: its size is the room for digits
        offset, size = number
        p.number.offset = <uint16_t>check_int(offset, "number: offset", 0, PROFILE_OPENING)
        p.number.size = <uint8_t>check_int(size, "number: size", 1, 10)
        if p.number.offset + p.number.size > p.login_size:
            raise ValueError("number: lies behind the login")
    if not move:
        raise ValueError("move must not be empty")
    p.move = <unsigned char *>PyBytes_AS_STRING(move)
    p.move_size = <uint32_t>len(move)
    p.direction = read_field(direction, "direction", p.move_size)
    p.stamp = read_field(stamp, "stamp", p.move_size)
    if len(steps) > PROFILE_STEPS or (direction is not None) != bool(steps):
        raise ValueError(f"steps: 1 to {PROFILE_STEPS} with a direction, none without")
    p.step_count = <int>len(steps)
    for i in range(p.step_count):
        value, dx, dy = steps[i]
        p.steps[i].value = check_int(value, "value of a step", INT_MIN, INT_MAX)
        p.steps[i].dx = <int16_t>check_int(dx, "dx of a step", -32768, 32767)
        p.steps[i].dy = <int16_t>check_int(dy, "dy of a step", -32768, 32767)
    if spot is not None:
        p.has_spot = 1
        p.spot_x = check_int(spot[0], "x of the spot", INT_MIN, INT_MAX)
        p.spot_y = check_int(spot[1], "y of the spot", INT_MIN, INT_MAX)
