# Hosts and ports from Python, as socket addresses.


# Lay out a socket address. The families' layouts agree on every system: family at 0, port at 2 in network order, the IPv4
# address at 4, or the flow label at 4, the IPv6 address at 8 and its scope at 24. Returns its length.
cdef int write_address(sockaddr_storage *out, int family, bytes packed, int port, uint32_t scope):
    cdef uint8_t *raw = <uint8_t *>out
    memset(out, 0, sizeof(sockaddr_storage))
    out.ss_family = <unsigned short>(AF_INET6 if family == 6 else AF_INET)
    raw[2] = <uint8_t>(port >> 8)
    raw[3] = <uint8_t>port
    memcpy(raw + (8 if family == 6 else 4), PyBytes_AS_STRING(packed), len(packed))
    if family == 6:
        (<sockaddr_in6 *>out).sin6_scope_id = scope
        return 28
    return 16


cdef tuple resolve(object host, int port, bint listening, str name="host"):
    """(family 4 or 6, packed address, scope) of a host. Raises OSError, which names the argument and the host."""
    if not isinstance(host, str):
        raise TypeError(f"{name} must be a str, not {host!r}")
    try:                        # the usual case costs no look-up
        return 4, _socket.inet_pton(_socket.AF_INET, host), 0
    except OSError:
        pass
    flags = _socket.AI_PASSIVE if listening else 0
    try:
        found = _socket.getaddrinfo(host or None, port, type=_socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or _socket.EAI_NONAME
        raise _socket.gaierror(number, f"{name} {host!r} is not known: {error}") from None
    # A name with both kinds of address means the same one here and at the peer's: connect("localhost") finds Server("localhost").
    found.sort(key=lambda entry: entry[0] != _socket.AF_INET)
    if not host and listening:  # everything: the dual-stack address, if this machine has IPv6
        try:
            _socket.socket(_socket.AF_INET6).close()
            found.sort(key=lambda entry: entry[0] != _socket.AF_INET6)
        except OSError:
            pass                # the names' library does not know that the system has none
    for family, _, _, _, address in found:
        if family == _socket.AF_INET:
            return 4, _socket.inet_pton(family, address[0]), 0
        if family == _socket.AF_INET6:
            return 6, _socket.inet_pton(family, address[0].partition("%")[0]), address[3]
    raise OSError(f"{name} {host!r} has no internet address")


cdef int check_port(object port, str name, int low) except? -1:
    return check_int(port, name, low, 65535)
