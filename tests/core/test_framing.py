"""Framing, over a real socket: whatever the network does, packets arrive whole and in order, or with a reason not at all."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iocp
from iocp import Framing, Limits, Reason
from peer import Echo, Peer, Recorder, each_worker_count, pack, serve, threads

FORMATS = [
    Framing(length_bytes, byteorder, counts_header)
    for length_bytes in (1, 2, 4)
    for byteorder in ("little", "big")
    for counts_header in (True, False)
    if length_bytes > 1 or byteorder == "little"  # one byte has no order
]


def name_of(framing):
    counts = "whole" if framing.counts_header else "rest"
    return f"{framing.length_bytes}{framing.byteorder}_{counts}"


each_format = pytest.mark.parametrize("framing", FORMATS, ids=name_of)

# Deterministic, since a failure must be there again in the next run; few, since each is a connection; without a deadline, since
# another program may have the processor. The fixtures are the same server for all examples, which is what is wanted.
few_examples = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def length_field(framing, value):
    return value.to_bytes(framing.length_bytes, framing.byteorder)


def cut_into_packets(framing, data):
    """What the core has to find in `data`: the whole packets, and what is wrong behind them. Written as plainly as possible."""
    packets = []
    while len(data) >= framing.length_bytes:
        size = int.from_bytes(data[: framing.length_bytes], framing.byteorder)
        if not framing.counts_header:
            size += framing.length_bytes
        if size < framing.length_bytes:
            return packets, Reason.LENGTH_TOO_SMALL
        if size > framing.max_size:
            return packets, Reason.LENGTH_TOO_LARGE
        if size > len(data):
            break
        packets.append(data[:size])
        data = data[size:]
    return packets, Reason.PEER_CLOSED


def send_in_pieces(handler, server, peer, pieces):
    """Send each piece when the one before has been received, so that the receives end where the pieces do."""
    before = server.stats().bytes_received
    sent = 0

    def received():
        return server.stats().bytes_received - before == sent

    for piece in pieces:
        peer.send(piece)
        sent += len(piece)
        handler.wait_until(received)


# ---- properties ----


@each_format
def test_packets_cut_anywhere_arrive_whole_and_in_order(backend, framing, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, 1, framing=framing)

    @few_examples
    @given(
        bodies=st.lists(st.binary(max_size=min(framing.max_size - framing.length_bytes, 600)), max_size=12),
        cuts=st.lists(st.floats(0, 1), max_size=8),
    )
    def holds(bodies, cuts):
        packets = [framing.pack(body) for body in bodies]
        stream = b"".join(packets)
        places = [0, *sorted(int(cut * len(stream)) for cut in cuts), len(stream)]
        pieces = [stream[start:end] for start, end in itertools.pairwise(places) if start < end]
        with Peer(server.address) as peer:
            session = handler.session_of(peer)
            send_in_pieces(handler, server, peer, pieces)
        assert handler.reason_of(session) == Reason.PEER_CLOSED
        assert handler.packets[session.id] == packets

    holds()


@each_format
def test_arbitrary_bytes_end_with_the_right_reason(backend, framing, balanced):
    framing = Framing(framing.length_bytes, framing.byteorder, framing.counts_header, max_size=200)
    handler = Recorder()
    server = serve(balanced, handler, backend, 2, framing=framing)
    # Bytes alone hardly ever make a packet of a long length field, so lengths near the borders are thrown in.
    lengths = st.integers(0, 210).map(lambda value: length_field(framing, value))
    pieces = st.lists(st.one_of(st.binary(max_size=300), lengths, st.binary(max_size=40).map(framing.pack)), max_size=8)

    @few_examples
    @given(pieces)
    def holds(pieces):
        stream = b"".join(pieces)
        packets, reason = cut_into_packets(framing, stream)
        with Peer(server.address) as peer:
            session = handler.session_of(peer)
            try:
                peer.send(*pieces)
                peer.finish()
            except ConnectionError:
                pass  # cut before it had sent all
            assert handler.reason_of(session) == reason
        assert handler.packets[session.id] == packets

    holds()


# ---- how packets may arrive ----


@each_format
@each_worker_count
def test_a_byte_at_a_time(backend, workers, framing, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, framing=framing)
    packets = [framing.pack(body) for body in (b"", b"a", b"", b"some more", b"x" * 20)]
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        send_in_pieces(handler, server, peer, [bytes([byte]) for byte in b"".join(packets)])
        handler.wait_until(lambda: len(handler.packets[session.id]) == len(packets))
    assert handler.packets[session.id] == packets


@each_format
@each_worker_count
def test_thousands_in_one(backend, workers, framing, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers, framing=framing)
    packets = [framing.pack(b"%d" % number) for number in range(5000)]
    with Peer(server.address) as peer:
        session = handler.session_of(peer)
        peer.send(*packets)
    handler.reason_of(session)
    assert handler.packets[session.id] == packets
    stats = server.stats()
    assert stats.packets_received == 5000
    assert stats.receives < 500


def test_packets_of_many_connections_do_not_mix(backend, balanced):
    handler = Echo()
    server = serve(balanced, handler, backend, framing=Framing(2))
    peers = [Peer(server.address) for _ in range(20)]
    streams = [b"".join(Framing(2).pack(b"%d:%d" % (number, packet)) for packet in range(100)) for number in range(20)]
    choose = random.Random(3)
    at = [0] * 20
    while any(at[number] < len(streams[number]) for number in range(20)):
        number = choose.randrange(20)
        end = at[number] + choose.randrange(1, 200)
        peers[number].send(streams[number][at[number] : end])
        at[number] = end
    for peer, stream in zip(peers, streams, strict=True):
        assert peer.receive(len(stream)) == stream
        peer.close()


# ---- large packets ----

LARGE = [framing for framing in FORMATS if framing.length_bytes == 4]


def one_mebibyte(framing, number):
    size = framing.max_size - framing.length_bytes
    return framing.pack(random.Random(number).randbytes(size))


@each_worker_count
@pytest.mark.parametrize("framing", LARGE, ids=name_of)
def test_packets_of_a_mebibyte_between_small_ones(backend, workers, framing, balanced):
    server = serve(balanced, Echo(), backend, workers, framing=framing, limits=Limits(queued_bytes=8 << 20))
    stream = b""
    for number in range(3):
        stream += one_mebibyte(framing, number) + framing.pack(b"small") + framing.pack(b"")
    with Peer(server.address) as peer, threads(1, lambda _: peer.send(stream)):
        assert peer.receive(len(stream)) == stream


@pytest.mark.parametrize("size", [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 32 * 1024, 65_536, 100_000])
def test_sizes_around_what_is_received_at_once(backend, size, balanced):
    framing = Framing(4)
    handler = Echo()
    server = serve(balanced, handler, backend, framing=framing)
    large = framing.pack(random.Random(size).randbytes(size - 4))
    stream = framing.pack(b"before") + large + framing.pack(b"between") + large + framing.pack(b"after")
    with Peer(server.address) as peer, threads(1, lambda _: peer.send(stream)):
        assert peer.receive(len(stream)) == stream


def test_a_large_packet_in_pieces(backend, balanced):
    framing = Framing(4, "big")
    handler = Echo()
    server = serve(balanced, handler, backend, framing=framing)
    packet = framing.pack(bytes(range(256)) * 400)
    with Peer(server.address) as peer:
        pieces = [packet[:3], packet[3:4], packet[4:5], packet[5:10_000], packet[10_000:50_001], packet[50_001:-1], packet[-1:]]
        send_in_pieces(handler, server, peer, pieces)
        assert peer.receive(len(packet)) == packet


def virtual_memory():
    """Bytes of address space this process has, or 0 where the system does not say."""
    try:
        return 4096 * int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0


def test_memory_grows_with_what_has_arrived_not_with_what_was_promised(backend, balanced):
    """Fifty peers promise a gigabyte each, in five bytes."""
    framing = Framing(4, max_size=0x7FFF_FFFF)
    handler = Echo()
    server = serve(balanced, handler, backend, framing=framing)
    before = virtual_memory()
    peers = [Peer(server.address) for _ in range(50)]
    for peer in peers:
        peer.send(length_field(framing, 1 << 30), b"x")
    handler.wait_until(lambda: server.stats().bytes_received == 250)
    for peer in peers:
        peer.send(bytes(1000))
    handler.wait_until(lambda: server.stats().bytes_received == 50_250)
    assert not server.stats().ended
    assert virtual_memory() - before < 1 << 30
    for peer in peers:
        peer.close()
    handler.wait_until(lambda: server.stats().buffers_in_use == 0)
    assert set(handler.reasons.values()) == {Reason.PEER_CLOSED}


# ---- wrong lengths ----


def wrong_lengths(framing):
    """Values of the length field that are wrong, each with the reason why."""
    most = 2 ** (8 * framing.length_bytes) - 1
    largest = framing.max_size - (0 if framing.counts_header else framing.length_bytes)
    below = range(framing.length_bytes) if framing.counts_header else ()
    above = sorted(value for value in {largest + 1, largest + 2, most} if largest < value <= most)
    return [(value, Reason.LENGTH_TOO_SMALL) for value in below] + [(value, Reason.LENGTH_TOO_LARGE) for value in above]


@each_format
@pytest.mark.parametrize("max_size", [None, 50])
def test_a_wrong_length_cuts_that_connection_and_good_packets_before_it_are_delivered(backend, framing, max_size, balanced):
    limited = Framing(framing.length_bytes, framing.byteorder, framing.counts_header, max_size)
    handler = Recorder()
    server = serve(balanced, handler, backend, 1, framing=limited)
    good = [limited.pack(b"good %d" % number) for number in range(3)]
    ended = Counter()
    for value, reason in wrong_lengths(limited):
        with Peer(server.address) as peer:
            session = handler.session_of(peer)
            peer.send(*good, length_field(limited, value), b"whatever follows")
            assert handler.reason_of(session) == reason
            peer.wait_for_end()
        assert handler.packets[session.id] == good
        ended[reason] += 1
    handler.wait_until(lambda: server.stats().ended == ended)


@each_worker_count
def test_a_wrong_length_alone(backend, workers, balanced):
    handler = Recorder()
    server = serve(balanced, handler, backend, workers)
    with Peer(server.address) as peer, Peer(server.address) as other:
        session = handler.session_of(peer)
        peer.send(b"\0")
        assert handler.reason_of(session) == Reason.LENGTH_TOO_SMALL
        other.send(pack(b"unharmed"))
        untouched = handler.session_of(other)
        handler.wait_until(lambda: handler.packets[untouched.id])
    assert handler.packets[session.id] == []


@each_format
def test_the_largest_packet_is_not_too_large(backend, framing, balanced):
    for max_size in (framing.length_bytes, 100, 255):
        limited = Framing(framing.length_bytes, framing.byteorder, framing.counts_header, max_size)
        server = serve(balanced, Echo(), backend, 1, framing=limited)
        with Peer(server.address) as peer:
            peer.echo(limited.pack(bytes(max_size - limited.length_bytes)))


# ---- arguments, and packing ----


@pytest.mark.parametrize(
    "arguments, error, name",
    [
        ({"length_bytes": 3}, ValueError, "length_bytes"),
        ({"length_bytes": True}, ValueError, "length_bytes"),
        ({"length_bytes": "2"}, ValueError, "length_bytes"),
        ({"byteorder": "middle"}, ValueError, "byteorder"),
        ({"byteorder": None}, ValueError, "byteorder"),
        ({"counts_header": 1}, TypeError, "counts_header"),
        ({"max_size": "10"}, TypeError, "max_size"),
        ({"max_size": 10.0}, TypeError, "max_size"),
        ({"max_size": True}, TypeError, "max_size"),
        ({"max_size": 0}, ValueError, "max_size"),
        ({"max_size": 256}, ValueError, "max_size"),
        ({"length_bytes": 2, "max_size": 1}, ValueError, "max_size"),
        ({"length_bytes": 4, "max_size": 1 << 31}, ValueError, "max_size"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, name):
    with pytest.raises(error, match=f"^{name} must be "):
        Framing(**arguments)


@pytest.mark.parametrize("wrong", [4, "Framing", Framing, {}])
def test_a_server_wants_a_framing(wrong):
    with pytest.raises(TypeError, match="framing must be an iocp.Framing"):
        iocp.Server(iocp.Handler(), framing=wrong)


def test_the_default_is_the_lectures():
    assert Framing() == Framing(length_bytes=1, counts_header=True, max_size=255)
    assert Framing(2).max_size == 65_535
    assert Framing(2, counts_header=False).max_size == 65_537
    assert Framing(4).max_size == 1 << 20


@pytest.mark.parametrize(
    "framing, packet",
    [
        (Framing(), b"\x04abc"),
        (Framing(counts_header=False), b"\x03abc"),
        (Framing(2), b"\x05\x00abc"),
        (Framing(2, "big"), b"\x00\x05abc"),
        (Framing(2, "big", False), b"\x00\x03abc"),
        (Framing(4), b"\x07\x00\x00\x00abc"),
        (Framing(4, "big", False), b"\x00\x00\x00\x03abc"),
    ],
    ids=lambda value: name_of(value) if isinstance(value, Framing) else "",
)
def test_pack(framing, packet):
    assert framing.pack(b"abc") == packet


@each_format
def test_pack_refuses_what_the_other_side_would(framing):
    limited = Framing(framing.length_bytes, framing.byteorder, framing.counts_header, 100)
    most = 100 - framing.length_bytes
    assert len(limited.pack(bytes(most))) == 100
    with pytest.raises(ValueError, match=f"body of {most + 1} bytes .* max_size 100"):
        limited.pack(bytes(most + 1))
