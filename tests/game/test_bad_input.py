"""What a client must not send: only its own connection ends, is counted by kind, and the others go on."""

from __future__ import annotations

import pytest
from chess_client import ChessClient, inwards
from iocp import Reason
from iocp.game.names import encode_name
from iocp.game.protocol import (
    Enter,
    Leave,
    LoginFail,
    LoginFailed,
    LoginOk,
    Moved,
    pack_login,
    pack_step,
)
from iocp.game.violation import Violation

LOGIN = pack_login(encode_name("eve"))


def name(raw):
    return pack_login(raw)


# What is sent, after a login or at once, and what the connection is cut for.
CASES = {
    "unknown type": (True, b"\x02\x4d", Violation.UNKNOWN_TYPE),
    "unknown type before login": (False, b"\x02\xff", Violation.UNKNOWN_TYPE),
    "chat before login": (False, b"\x04\x03hi", Violation.NOT_LOGGED_IN),
    "chat in invalid UTF-8": (True, b"\x04\x03\xff\xfe", Violation.BAD_TEXT),
    "chat with control characters": (True, b"\x05\x03hi\n", Violation.BAD_TEXT),
    "blank chat": (True, b"\x03\x03 ", Violation.BAD_TEXT),
    "empty chat": (True, b"\x02\x03", Violation.BAD_TEXT),
    "attack before login": (False, b"\x02\x02", Violation.NOT_LOGGED_IN),
    "long attack": (True, b"\x03\x02\x00", Violation.WRONG_SIZE),
    "teleport before login": (False, b"\x02\x05", Violation.NOT_LOGGED_IN),
    "long teleport": (True, b"\x07\x05" + bytes(5), Violation.WRONG_SIZE),
    "spectate before login": (False, b"\x03\x06\x01", Violation.NOT_LOGGED_IN),
    "short spectate": (True, b"\x02\x06", Violation.WRONG_SIZE),
    "packet without a type": (True, b"\x01", Violation.WRONG_SIZE),
    "short login": (False, b"\x0b" + LOGIN[1:11], Violation.WRONG_SIZE),
    "long login": (False, b"\x14" + LOGIN[1:] + bytes(8), Violation.WRONG_SIZE),
    "short move": (True, b"\x02\x01", Violation.WRONG_SIZE),
    "long move": (True, b"\x08\x01" + bytes(6), Violation.WRONG_SIZE),
    "long logout": (True, b"\x03\x04\x00", Violation.WRONG_SIZE),
    "move before login": (False, pack_step(1), Violation.NOT_LOGGED_IN),
    "timed move before login": (False, pack_step(1, 1), Violation.NOT_LOGGED_IN),
    "second login": (True, LOGIN, Violation.SECOND_LOGIN),
    "empty name": (False, name(b""), Violation.BAD_NAME),
    "blank name": (False, name(b"  "), Violation.BAD_NAME),
    "name with control characters": (False, name(b"\x1b[2Jeve"), Violation.BAD_NAME),
    "name with a line end": (False, name(b"eve\n"), Violation.BAD_NAME),
    "name that begins with a blank": (False, name(b" eve"), Violation.BAD_NAME),
    "name in invalid UTF-8": (False, name(b"\xff\xfeeve"), Violation.BAD_NAME),
    "name in half a character": (False, name("이름이".encode() + b"\xed"), Violation.BAD_NAME),
    "length 0": (True, b"\x00", Reason.LENGTH_TOO_SMALL),
    "length 0 before login": (False, b"\x00\x00\x00", Reason.LENGTH_TOO_SMALL),
    "length over the maximum": (True, b"\x80\x01" + bytes(126), Reason.LENGTH_TOO_LARGE),
    "a web browser": (False, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(60), None),
}


def others_go_on(anna, ben):
    """Both still move and see each other."""
    direction, x, y = inwards(anna)
    assert anna.step(direction)[0] == []
    assert ben.seen() == [Moved(anna.id, x, y, None)]
    direction, x, y = inwards(ben)
    assert ben.step(direction)[0] == []
    assert anna.seen() == [Moved(ben.id, x, y, 0)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_only_this_connection_is_cut(chess, case):
    logged_in, sent, expected = case
    anna, ben = chess.player("anna", True), chess.player("ben", False)
    anna.seen()
    eve = chess.connect()
    if logged_in:
        eve.login("eve")
        assert isinstance(eve.read(), Enter) and isinstance(eve.read(), Enter)
    eve.send(sent)
    assert eve.read_to_end() == []
    if logged_in:
        for other in (anna, ben):
            assert isinstance(other.read(), Enter)
            assert other.read() == Leave(eve.id)
    others_go_on(anna, ben)
    violations = chess.handler.counts.violations
    if isinstance(expected, Violation):
        assert violations == {expected: 1}
        chess.until(lambda: chess.server.stats().ended.get(Reason.PROTOCOL) == 1)
    elif expected is not None:
        assert not violations
        chess.until(lambda: chess.server.stats().ended.get(expected) == 1)


@pytest.mark.parametrize("direction", [-128, -1, 4, 127])
def test_a_direction_out_of_range_is_answered_with_the_true_position(chess, direction):
    anna, ben = chess.player("anna", True), chess.player("ben", False)
    anna.seen()
    refused = chess.handler.counts.refused["no direction"]
    place = anna.x, anna.y
    assert anna.step(direction, 5) == ([], Moved(anna.id, *place, 5))
    assert chess.handler.counts.refused["no direction"] == refused + 1
    assert ben.seen() == []
    others_go_on(anna, ben)


def test_what_follows_a_bad_packet_in_the_same_piece_is_not_looked_at(chess):
    anna = chess.player("anna")
    eve = chess.connect()
    eve.send(b"\x02\x4d" + LOGIN + pack_step(0))
    assert eve.read_to_end() == []
    assert anna.seen() == []
    assert chess.handler.counts.violations == {Violation.UNKNOWN_TYPE: 1}
    assert chess.handler.counts.logins == 1


def test_a_violation_is_logged_once_with_its_text(chess, caplog):
    eve = chess.connect()
    eve.send(pack_login(b"e\x1bve"))
    assert eve.read_to_end() == []
    lines = [record.getMessage() for record in caplog.records if record.name == "iocp.game"]
    assert len(lines) == 1
    assert "control characters" in lines[0] and "127.0.0.1" in lines[0] and lines[0].isprintable()


def test_a_refused_korean_name_is_readable_for_its_client_and_escaped_in_the_log(chess, caplog):
    eve = chess.connect()
    eve.send(pack_login(" 한".encode(), 1))
    (refusal,) = eve.read_to_end()
    assert refusal == LoginFailed(LoginFail.BAD_NAME, "name ' 한' begins or ends with a blank")
    lines = [record.getMessage() for record in caplog.records if record.name == "iocp.game"]
    assert len(lines) == 1 and r"' \ud55c'" in lines[0] and lines[0].isascii()


def test_a_refused_name_is_told_to_a_client_that_knows_extended_packets(chess):
    anna = chess.player("anna")
    eve = chess.connect()
    eve.send(pack_login(b"\xff", 1))
    [answer] = eve.read_to_end()
    assert isinstance(answer, LoginFailed)
    assert answer.reason == LoginFail.BAD_NAME and "utf-8" in answer.text
    assert anna.seen() == []
    assert chess.handler.counts.violations == {Violation.BAD_NAME: 1}


def test_a_server_for_code_page_949_takes_korean_names_in_it(start_chess):
    chess = start_chess(name_encoding="cp949")
    anna, hong = chess.player("anna"), chess.connect()
    hong.send(pack_login("홍길동".encode("cp949")))
    assert isinstance(hong.read(), LoginOk)
    [enter] = anna.seen()
    assert isinstance(enter, Enter) and enter.name == "홍길동".encode("cp949").ljust(10, b"\0")


def test_a_logout_before_login_ends_the_connection_cleanly(chess):
    anna = chess.player("anna")
    eve = chess.connect()
    eve.logout()
    assert eve.read_to_end() == []
    assert anna.seen() == []
    assert not chess.handler.counts.violations
    chess.until(lambda: chess.server.stats().ended.get(Reason.CLOSED) == 1)


def test_a_connection_that_sends_half_a_packet_and_goes_hurts_nobody(chess):
    anna, ben = chess.player("anna", True), chess.player("ben", False)
    anna.seen()
    eve = ChessClient(chess.server.address)
    eve.send(LOGIN[:5])
    eve.close()
    others_go_on(anna, ben)
