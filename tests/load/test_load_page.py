"""The report's page: one file that needs nothing else, says what was measured, and lets no text of a server become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hdrh")

from figures import faulty, report, snapshots

from iocp.framing import Framing
from iocp.load.chess import chess
from iocp.load.echo import echo
from iocp.load.lines import report_lines
from iocp.load.page import curve, grouped, page, page_data, write_page
from iocp.load.report import Report
from iocp.load.settings import Settings, Stage
from iocp.load.snapshot import Figures
from iocp.load.summary import summary
from iocp.load.times import Times

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)><!--\u2028\u202e\x1b[2J"
VOID = {"meta", "input", "br", "img", "link"}
SECTIONS = {
    "verdict", "totals", "latency", "percentiles", "steps", "objectives", "throughput", "connections", "processors", "map", "faults",
    "conditions",
}  # fmt: skip
CHARTS = {"own-chart", "others-chart", "curve-chart", "throughput-chart", "connections-chart", "processor-chart", "memory-chart"}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Reader(HTMLParser):
    """Checks that what opens closes, and keeps ids, attributes and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, str] = {}
        self.scripts = 0
        self.charts: dict[str, int] = {}
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.attributes += [(tag, name, value) for name, value in found.items()]
        if "id" in found:
            assert found["id"] not in self.ids, f"id {found['id']} twice"
            self.ids.add(found["id"])
        self.scripts += tag == "script"
        if tag == "path" and (figure := next((name for name in reversed(self._inside) if name in CHARTS), None)):
            self.charts[figure] = self.charts.get(figure, 0) + 1
        if tag not in VOID:
            self.open.append(tag)
            self._inside.append(found.get("id", tag))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open}"
        self.open.pop()
        self._inside.pop()

    def handle_data(self, text: str) -> None:
        if self._inside:
            self.texts[self._inside[-1]] = self.texts.get(self._inside[-1], "") + text


def hostile() -> Report:
    found = snapshots(6, server=HOSTILE)
    return report([*found[:-1], faulty(found[-1], HOSTILE)])


def embedded(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Reader(text).texts["data"])
    return found


def test_page_is_well_formed_and_has_all_its_parts() -> None:
    reader = Reader(page(report(snapshots())))
    assert reader.open == []
    assert SECTIONS | CHARTS <= reader.ids
    assert reader.scripts == 2


def test_page_asks_for_nothing_from_outside() -> None:
    text = page(report(snapshots()))
    assert "http:" not in text and "https:" not in text and "@import" not in text and "url(" not in text
    assert not [found for found in Reader(text).attributes if found[1] in ("src", "href", "srcset", "action")]
    assert "{{" not in text


def test_policy_lets_only_this_script_run() -> None:
    reader = Reader(page(hostile()))
    policy = next(value for tag, name, value in reader.attributes if tag == "meta" and value.startswith("default-src"))
    assert "default-src 'none'" in policy
    script = reader.texts["script"]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert "unsafe" not in policy
    assert "innerHTML" not in script and "eval(" not in script and "document.write" not in script


def test_text_of_a_hostile_server_stays_data() -> None:
    text = page(hostile())
    reader = Reader(text)
    assert reader.scripts == 2
    assert not [found for found in reader.attributes if found[1].startswith("on") or found[0] == "img"]
    faults = embedded(text)["faults"]
    assert any("<img src=x onerror=alert(1)>" in fault["name"] for fault in faults)
    assert not re.search("[\x00-\x09\x0b-\x1f\u2028\u202e]", text)


def test_data_is_what_was_measured() -> None:
    found = report(snapshots())
    data = embedded(page(found))
    assert data["totals"]["latency_ms"] == found.latency
    assert data["series"]["at"] == [float(second) for second in range(1, 13)]
    assert data["series"]["sent"][0] == 500 and data["series"]["sent"][-1] == 1000
    assert data["series"]["own"]["p99"][-1] == found.snapshots[-1].measured.planned.milliseconds()["p99"]
    assert data["series"]["server"][-1] == 60 and data["series"]["memory"][-1] == 50_000_011
    assert data["phases"] == [["ramp", 2.0], ["hold", 12.0]]
    assert data["parameters"]["clients"] == "1000" and data["parameters"]["objectives"].endswith("p99=100ms")
    assert {"processor", "memory", "system", "Python", "pyiocp", "backend"} <= set(data["machine"])


def test_map_has_every_player_in_every_frame() -> None:
    data = embedded(page(report(snapshots(4, players=300))))
    frames = data["map"]["frames"]
    assert [len(base64.b64decode(frame["places"])) for frame in frames] == [2 * 150, 2 * 300, 2 * 300, 2 * 300]
    assert data["map"]["tiles"] == 400 and data["map"]["cells"] == 100
    assert max(base64.b64decode(frames[-1]["places"])) < 100


def test_run_without_positions_and_server_has_no_map() -> None:
    data = embedded(page(report([replace(snapshot, positions=b"", server=None) for snapshot in snapshots()])))
    assert data["map"] is None
    assert set(data["series"]["server"]) == {None}


def test_run_that_never_began_makes_a_page() -> None:
    first = replace(snapshots(1)[0], playing=0, packets=0, others=Figures(), positions=b"")
    data = embedded(page(report([first], clients=5)))
    assert data["verdict"]["state"] == "missed"
    assert data["curves"] == {"planned": [], "raw": [], "others": []}


def test_ten_minutes_stay_under_600_kilobytes(tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    write_page(report(snapshots(600, players=2000)), file)
    assert file.stat().st_size < 600_000
    data = embedded(file.read_text(encoding="utf-8"))
    assert 200 < len(data["series"]["at"]) <= 400
    assert len(data["map"]["frames"]) <= 100


def test_short_intervals_join_their_neighbours() -> None:
    one = snapshots(1)[0]
    parts = [replace(one, seconds=seconds) for seconds in (0.04, 1.0, 1.0, 1.0, 0.02)]
    assert [[part.seconds for part in group] for group in grouped(parts, 1.0)] == [[0.04, 1.0], [1.0], [1.0, 0.02]]


def test_curve_goes_from_the_fastest_to_the_slowest() -> None:
    points = curve(Times(Counter({1000: 900, 2000: 99, 9000: 1}), 9000))
    assert points == [(10.0, 1.0), (1000.0, 2.0), (1000.0, 9.0)]


@pytest.mark.parametrize(
    ("slo", "state", "words"),
    [
        ("p99=100ms", "held", "99 of 100 answers were to come within 100 ms"),
        ("", "held", "No limit was set"),
        ("p99=1ms", "missed", "99 of 100 answers were to come within 1 ms"),
        ("fanout_p50=1ms", "missed", "moves seen by others"),
    ],
)
def test_verdict_in_words(slo: str, state: str, words: str) -> None:
    found = summary(report(snapshots(), slo))
    assert found.state == state
    assert words in " ".join(found.sentences)


def test_invalid_run_says_that_it_says_nothing() -> None:
    found = snapshots(6)
    for snapshot in found:
        snapshot.measured.lateness = snapshot.measured.planned
    told = summary(report(found, "p99=1ms"))
    assert told.state == "invalid"
    assert "the generator sent late" in told.sentences[0].lower()


def test_faults_miss_and_are_counted_in_words() -> None:
    told = summary(report([*snapshots(5), faulty(snapshots(6)[-1])]))
    assert told.headline == "Missed: errors 3 and violations 12"
    assert "There were 3 errors; at most 0 were allowed." in told.sentences


def test_stages_are_a_table() -> None:
    found = [replace(snapshot, stage=int(snapshot.at > 7)) for snapshot in snapshots()]
    data = page_data(report(found, stages=(Stage(500, 5.0), Stage(1000, 5.0))))
    assert [(row["clients"], row["kind"], row["result"]) for row in data["steps"]["rows"]] == [(500, "5 s", "held"), (1000, "5 s", "held")]
    assert data["parameters"]["stages"] == "500 for 5 s, 1000 for 5 s"


def test_all_that_was_asked_for_is_in_the_page_and_in_the_json() -> None:
    """Also what the options of a scenario made of its protocol."""
    asked = report(
        snapshots(3), protocol=chess(timed=False, teleport=True, spot=(50, 60)), sources=("127.0.0.2", "127.0.0.3"), first_player=7,
        stages=(Stage(500, 5.0), Stage(1000, 5.0)), timeout=3.0, lateness_limit=0.02, window=4,
    )  # fmt: skip
    shown = page_data(asked)["parameters"]
    assert {"hot spot": "50,60", "answers": "known by their order", "sources": "127.0.0.2, 127.0.0.3", "first player": "7",
            "stages": "500 for 5 s, 1000 for 5 s", "timeout": "3 s", "lateness limit": "0.02 s", "window": "4"}.items() <= shown.items()  # fmt: skip
    assert "after its login" in shown["teleport"]
    told = json.loads(json.dumps(asked.as_json()))
    assert set(told["settings"]) >= {field.name for field in fields(Settings)}
    assert told["settings"]["stages"] == [{"clients": 500, "seconds": 5.0}, {"clients": 1000, "seconds": 5.0}]
    assert told["settings"]["protocol_hot_spot"] == "50,60" and told["settings"]["timeout"] == 3.0
    assert {"processor", "system", "Python", "pyiocp"} <= set(told["machine"])
    # What an echo is made of.
    echoes = page_data(report(snapshots(3), protocol=echo(64, Framing(4, "big", False))))["parameters"]
    assert echoes["packets"] == "64 bytes each" and echoes["framing"].startswith("length of 4 bytes, big endian, itself not counted")


def test_moves_that_led_nowhere_and_those_without_a_time_are_told_in_words() -> None:
    found = snapshots()
    for snapshot in found:
        snapshot.measured.blocked = snapshot.measured.answered // 4
    found[-1].fanout_unmatched = 321
    made = report(found)
    text = "\n".join(report_lines(made))
    assert "blocked: 25.0% of the answered moves led nowhere" in text
    assert "without a time: 321" in text
    assert "25.0% of the moves led nowhere" in " ".join(summary(made).sentences)
    assert page_data(made)["totals"]["fanout_unmatched"] == 321
    for snapshot in found:
        snapshot.measured.blocked = snapshot.measured.answered
    assert "No move led anywhere" in " ".join(summary(report(found)).sentences)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.parametrize("made", [lambda: report(snapshots()), hostile], ids=["held", "hostile"])
def test_browser_draws_every_chart_and_complains_of_nothing(made: Any, tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    write_page(made(), file)
    assert BROWSER is not None
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr",
         "--virtual-time-budget=2000", "--dump-dom", file.as_uri()],
        capture_output=True, text=True, encoding="utf-8", timeout=100,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert '<html lang="en" data-drawn="yes">' in done.stdout
    assert "<title>iocp-load report</title>" in done.stdout
    reader = Reader(done.stdout)
    assert CHARTS == set(reader.charts)
    assert reader.charts["own-chart"] == 4 and reader.charts["curve-chart"] == 3
