"""Draws the pictures of the lecture (docs/lecture.md, docs/ko/lecture.md) into docs/images, in both languages.

    python3 tools/pictures.py

They are narrow, so that their text can be read on a telephone, and bring their own background, light or dark as the reader's system is.
A test compares the files with what this draws (tests/test_docs.py). Python alone is enough.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH = 420
STYLE = """
svg { font-family: system-ui, "Segoe UI", "Noto Sans", "Noto Sans KR", "Malgun Gothic", NanumGothic, sans-serif; }
.paper { fill: #fcfcfb; stroke: #d5d8d6; }
text { fill: #1d2422; font-size: 13px; }
.small { font-size: 11.5px; fill: #4c5653; }
.strong { font-weight: 600; }
.code { font-family: ui-monospace, Consolas, "DejaVu Sans Mono", NanumGothicCoding, monospace; font-size: 11.5px; }
.box { stroke: #5b6b66; fill: #ffffff; }
.ours { stroke: #00796b; fill: #e0f2ef; }
.python { stroke: #b26a00; fill: #fff1d6; }
.system { stroke: #6b7280; fill: #eceef1; }
.zone { stroke: #9aa5a1; fill: none; stroke-dasharray: 4 3; }
.line { stroke: #39443f; fill: none; stroke-width: 1.4; }
.head { fill: #39443f; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #1b1f21; stroke: #3a4144; }
  text { fill: #e6eae8; }
  .small { fill: #b4bdba; }
  .box { stroke: #93a19c; fill: #262c2e; }
  .ours { stroke: #4db6a8; fill: #14332f; }
  .python { stroke: #e0a84e; fill: #3a2b10; }
  .system { stroke: #9aa3ad; fill: #2b3036; }
  .zone { stroke: #6d7a76; }
  .line { stroke: #c3cdc9; }
  .head { fill: #c3cdc9; }
}
"""


class Drawing:
    """An SVG picture that grows from top to bottom."""

    def __init__(self, title: str, height: int) -> None:
        self._height = height
        self._title = title
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", *lines: str) -> None:
        """A rectangle with lines of text in its middle. A line that begins with ` is code, with - small, with * strong."""
        self._parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" class="{kind}"/>')
        top = y + height / 2 - (len(lines) - 1) * 8 + 4.5
        for number, line in enumerate(lines):
            self.text(x + width / 2, top + number * 16, line, "middle")

    def text(self, x: float, y: float, line: str, anchor: str = "start") -> None:
        kind = {"`": "code", "-": "small", "*": "strong"}.get(line[:1], "")
        shown = line[1:] if kind else line
        attribute = f' class="{kind}"' if kind else ""
        self._parts.append(f'<text x="{x}" y="{y:g}" text-anchor="{anchor}"{attribute}>{escape(shown)}</text>')

    def arrow(self, *points: tuple[float, float]) -> None:
        path = " L".join(f"{x:g} {y:g}" for x, y in points)
        self._parts.append(f'<path d="M{path}" class="line" marker-end="url(#head)"/>')

    def svg(self) -> str:
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height}" width="{WIDTH}" height="{self._height}" '
            f'role="img" aria-label="{escape(self._title)}">\n<title>{escape(self._title)}</title>\n<style>{STYLE}</style>\n'
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 L8 4 L0 8 z" class="head"/></marker></defs>\n'
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{self._height - 1}" rx="8" class="paper"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


Words = dict[str, Any]
"""What is written in one picture in one language."""

PORT: dict[str, Words] = {
    "en": {
        "title": "The completion port",
        "devices": "*Device list",
        "devices note": "-CreateIoCompletionPort(socket, port, key)",
        "listener": "listener",
        "session": "session",
        "complete": ("-an operation", "-completes"),
        "post": ("-post(),", "-timers, stop"),
        "queue": "*Completion queue",
        "queue note": "-first in, first out",
        "take": "-up to 256 at once",
        "waiting": "*Waiting threads",
        "waiting note": "-last in, first out",
        "next": "wakes next",
        "released": "*Released threads",
        "released note": "-at most as many as",
        "released note 2": "-the port was made for",
        "runs": "runs handlers",
        "paused": "*Paused threads",
        "paused note": "-blocked in something else:",
        "paused note 2": "-the port releases another one",
        "back": "-waits again",
        "linux": ("-On Linux each thread has a", "-lane of its own, an epoll", "-descriptor or a ring, and", "-there are as many as threads."),
    },
    "ko": {
        "title": "완료 포트의 구조",
        "devices": "*장치 목록 (device list)",
        "devices note": "-CreateIoCompletionPort(socket, port, key)",
        "listener": "리슨 소켓",
        "session": "세션",
        "complete": ("-입출력이", "-완료되면"),
        "post": ("-post(),", "-타이머, 종료"),
        "queue": "*완료 큐",
        "queue note": "-FIFO: 먼저 들어온 것이 먼저 나간다",
        "take": "-한 번에 최대 256개",
        "waiting": "*대기 스레드 큐",
        "waiting note": "-LIFO: 나중에 온 것이 먼저",
        "next": "다음에 깨어남",
        "released": "*릴리스 스레드 목록",
        "released note": "-동시에 실행되는 수는",
        "released note 2": "-포트 생성 시 정한 값까지",
        "runs": "핸들러 실행 중",
        "paused": "*정지 스레드 목록",
        "paused note": "-다른 일로 블록되면",
        "paused note 2": "-포트가 스레드를 하나 더 깨운다",
        "back": "-다시 대기",
        "linux": ("-리눅스에서는 스레드마다 전용", "-레인(epoll 디스크립터 또는", "-io_uring 링)이 있고, 레인 수는", "-스레드 수와 같다."),
    },
}


def draw_port(t: Words) -> str:
    drawing = Drawing(t["title"], 620)
    drawing.text(16, 28, t["devices"])
    drawing.text(16, 45, t["devices note"])
    for number, x in enumerate((16, 117, 218, 319)):
        name = t["listener"] if number == 0 else f"{t['session']} {number}"
        operation = "`AcceptEx" if number == 0 else "`WSARecv" if number != 2 else "`WSASend"
        drawing.box(x, 56, 85, 48, "system", name, operation)
        drawing.arrow((x + 42, 106), (x + 42, 160))
    for number, line in enumerate(t["complete"]):
        drawing.text(109, 128 + 16 * number, line, "middle")
    drawing.text(16, 178, t["queue"])
    drawing.text(16, 195, t["queue note"])
    for number, y in enumerate((206, 240, 274)):
        drawing.box(16, y, 78, 28, "box", "`key")
        drawing.box(94, y, 64, 28, "box", "`bytes")
        drawing.box(158, y, 112, 28, "box", "`NULL" if number == 1 else "`OVERLAPPED")
    drawing.box(300, 214, 104, 80, "python", *t["post"], "-")
    drawing.text(352, 282, "`PostQueued…", "middle")
    drawing.arrow((299, 254), (274, 254))
    drawing.arrow((120, 304), (120, 340))
    drawing.text(132, 320, "`GetQueuedCompletionStatusEx")
    drawing.text(132, 336, t["take"])
    drawing.text(16, 360, t["waiting"])
    drawing.text(16, 377, t["waiting note"])
    for number, (y, name) in enumerate(((388, "T3"), (418, "T1"))):
        drawing.box(16, y, 150, 28, "ours", f"{name}: {t['next']}" if number == 0 else name)
    drawing.text(236, 360, t["released"])
    drawing.text(236, 377, t["released note"])
    drawing.text(236, 393, t["released note 2"])
    drawing.box(236, 404, 168, 42, "python", f"T2: {t['runs']}")
    drawing.arrow((168, 402), (200, 402), (200, 418), (234, 418))
    drawing.arrow((234, 434), (168, 434))
    drawing.text(201, 460, t["back"], "middle")
    drawing.arrow((360, 448), (360, 500))
    drawing.arrow((290, 500), (290, 448))
    drawing.text(236, 520, t["paused"])
    drawing.text(236, 537, t["paused note"])
    drawing.text(236, 553, t["paused note 2"])
    drawing.box(236, 564, 168, 34, "system", "T4")
    for number, line in enumerate(t["linux"]):
        drawing.text(16, 520 + 17 * number, line)
    return drawing.svg()


PACKET: dict[str, Words] = {
    "en": {
        "title": "The life of one packet",
        "legend": ("the system", "native code, no GIL", "Python, holds the GIL"),
        "steps": (
            ("system", "The client's bytes arrive", "`zero-byte WSARecv completes"),
            ("ours", "A worker takes it off the queue, among others,", "and owns the session from now on"),
            ("ours", "`recv()", "into the worker's arena, behind what was left over"),
            ("ours", "Packets are cut", "`scan_packets()", "-what is incomplete is kept in a pooled buffer"),
            ("python", "Baton and GIL: once for all sessions of the batch", "`on_packet(session, packet)", "`session.send(answer)"),
            ("ours", "The answer lies behind what is queued", "-no system call yet"),
            ("ours", "GIL and baton are given back: settle()", "`one WSASend for the whole queue", "`WSARecv again"),
            ("system", "The answer leaves", "-its completion returns the buffers to the pool"),
        ),
    },
    "ko": {
        "title": "패킷 하나의 일생",
        "legend": ("운영체제", "네이티브 코드, GIL 없음", "파이썬, GIL 보유"),
        "steps": (
            ("system", "클라이언트가 보낸 바이트가 도착한다", "`0바이트 WSARecv가 완료된다"),
            ("ours", "작업자 스레드가 완료 큐에서 한꺼번에 꺼내고", "이 세션의 소유자가 된다"),
            ("ours", "`recv()", "지난번에 남은 조각 뒤에 이어서 받는다"),
            ("ours", "패킷 재조립", "`scan_packets()", "-덜 온 패킷은 풀에서 빌린 버퍼에 보관한다"),
            ("python", "바통과 GIL 획득: 묶음 전체에 한 번", "`on_packet(session, packet)", "`session.send(answer)"),
            ("ours", "응답은 송신 큐 끝에 붙는다", "-시스템 호출은 아직 없다"),
            ("ours", "GIL과 바통을 돌려주고 settle()", "`큐 전체를 WSASend 한 번으로", "`WSARecv를 다시 건다"),
            ("system", "응답이 나간다", "-완료되면 버퍼는 풀로 돌아간다"),
        ),
    },
}  # fmt: skip


def draw_packet(t: Words) -> str:
    title, legend, steps = t["title"], t["legend"], t["steps"]
    height = 52 + sum(24 + 16 * len(step[1:]) + 16 for step in steps)
    drawing = Drawing(title, height)
    for x, kind, name in zip((16, 114, 264), ("system", "ours", "python"), legend, strict=True):
        drawing.box(x, 14, 14, 14, kind)
        drawing.text(x + 19, 26, f"-{name}")
    y = 44.0
    for number, (kind, *lines) in enumerate(steps, 1):
        tall = 20 + 16 * len(lines)
        if number > 1:
            drawing.arrow((WIDTH / 2, y - 20), (WIDTH / 2, y - 2))
        drawing.box(16, y, WIDTH - 32, tall, kind, *lines)
        drawing.text(28, y + 19, f"*{number}")
        y += tall + 20
    return drawing.svg()


OVERLAPPED: dict[str, Words] = {
    "en": {
        "title": "The life of one OVERLAPPED",
        "ours": "*ours",
        "system": "*the system's",
        "dequeued": "-dequeued",
        "receive": ("*receive", "-lies in the session,", "-used again for ever"),
        "send": ("*send", "-from the pool, with", "-its WSABUFs and buffers"),
        "accept": ("*accept", "-one of a pool of 64,", "-with its socket"),
        "out": ("exactly one", "any number", "all of them"),
        "skip": "-done at once: nothing is queued, back to the pool",
        "note": ("-CancelIoEx only makes the dequeue come sooner. Until then the", "-memory is the system's, whatever happened to the socket."),
    },
    "ko": {
        "title": "OVERLAPPED 하나의 일생",
        "ours": "*우리 것",
        "system": "*운영체제의 것",
        "dequeued": "-큐에서 꺼냄",
        "receive": ("*수신", "-세션 안에 들어 있고", "-끝까지 재사용한다"),
        "send": ("*송신", "-WSABUF, 버퍼와 함께", "-풀에서 빌린다"),
        "accept": ("*접속 수락", "-64개짜리 풀의 하나,", "-소켓도 미리 만든다"),
        "out": ("소켓마다 하나만", "몇 개든 동시에", "전부 걸어 둔다"),
        "skip": "-즉시 끝나면 큐를 거치지 않고 바로 풀로",
        "note": ("-CancelIoEx는 완료를 앞당길 뿐이다. 큐에서 꺼낼 때까지 그 메모리는", "-소켓이 어떻게 되었든 운영체제의 것이다."),
    },
}  # fmt: skip


def draw_overlapped(t: Words) -> str:
    drawing = Drawing(t["title"], 440)
    drawing.text(92, 28, t["ours"], "middle")
    drawing.text(334, 28, t["system"], "middle")
    drawing.box(10, 38, 164, 348, "zone")
    drawing.box(262, 38, 148, 348, "zone")
    calls = ("WSARecv", "WSASend", "AcceptEx")
    for call, kind, out, y in zip(calls, ("receive", "send", "accept"), t["out"], (50, 158, 300), strict=True):
        drawing.box(18, y, 148, 72, "ours", *t[kind])
        drawing.box(270, y, 132, 72, "system", f"`{call}", f"-{out}")
        drawing.arrow((168, y + 24), (268, y + 24))
        drawing.text(218, y + 18, f"`{call}", "middle")
        drawing.arrow((268, y + 52), (168, y + 52))
        drawing.text(218, y + 67, t["dequeued"], "middle")
    drawing.box(18, 248, 384, 42, "box", "`FILE_SKIP_COMPLETION_PORT_ON_SUCCESS", t["skip"])
    drawing.arrow((130, 230), (130, 247))
    drawing.arrow((54, 247), (54, 231))
    for number, line in enumerate(t["note"]):
        drawing.text(14, 408 + 17 * number, line)
    return drawing.svg()


def pictures() -> dict[str, str]:
    """The files by name."""
    drawn = {}
    for language in ("en", "ko"):
        ending = ".svg" if language == "en" else f".{language}.svg"
        drawn[f"port{ending}"] = draw_port(PORT[language])
        drawn[f"packet{ending}"] = draw_packet(PACKET[language])
        drawn[f"overlapped{ending}"] = draw_overlapped(OVERLAPPED[language])
    return drawn


if __name__ == "__main__":
    for name, text in pictures().items():
        (IMAGES / name).write_text(text, encoding="utf-8", newline="\n")
        print(IMAGES / name)
