"""The documentation: it builds without a warning and without a network, its links lead somewhere, and what it names exists."""

from __future__ import annotations

import html.parser
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from snippets import blocks_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LECTURES = [DOCS / "lecture.md", DOCS / "ko" / "lecture.md"]
ROWS = 27
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
_CODE = re.compile(r"`([^`]+)`")


def prose_of(page: Path) -> list[str]:
    """The page's lines without its fenced blocks."""
    text = page.read_text(encoding="utf-8")
    inside = {number for block in blocks_of(text) for number in range(block.line, block.line + len(block.lines) + 2)}
    return [line for number, line in enumerate(text.splitlines(), 1) if number not in inside]


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings, and those written as HTML."""
    found: dict[str, int] = {}
    anchors = set()
    for line in prose_of(page):
        if heading := re.match(r"#{1,6} (.*)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            anchors.add(f"{slug}-{found[slug]}" if slug in found else slug)
            found[slug] = found.get(slug, 0) + 1
        anchors.update(re.findall(r'(?:id|name)="([^"]+)"', line))
    return anchors


# ---- links ----


def test_links_images_and_anchors_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for line in prose_of(page):
            for link in _LINK.findall(_CODE.sub("", line) if "](" not in line else line):
                if re.match(r"[a-z]+:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / unquote(path)).resolve() if path else page
                # `python3 tools/dev.py` and a checkout have the same tree; nothing outside of it may be linked to.
                if not target.exists() or not target.is_relative_to(ROOT):
                    broken.append(f"{page.relative_to(ROOT)}: {link}: no such file")
                elif anchor and target.suffix == ".md" and "reference" not in target.parts and unquote(anchor) not in anchors_of(target):
                    broken.append(f"{page.relative_to(ROOT)}: {link}: no such heading")
    assert broken == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One, two & `three`\n\n## Zwei Wörter\n\n[a](b.md#c \"title\")\n\n```text\n[x](y)\n# no heading\n```\n", encoding="utf-8")
    assert anchors_of(page) == {"one-two--three", "zwei-wörter"}
    assert [link for line in prose_of(page) for link in _LINK.findall(line)] == ["b.md#c"]


# ---- the lecture ----


def rows_of(page: Path) -> dict[str, list[str]]:
    """The cells of each row of the lecture's table, by its number."""
    rows = {}
    for line in prose_of(page):
        if match := re.match(r"\| (\d+) \| (.*) \|\s*$", line):
            rows[match[1]] = [cell.strip() for cell in re.split(r" \|(?: |$)", match[2])]
    return rows


def targets(page: Path, text: str) -> list[str]:
    return [(page.parent / link.partition("#")[0]).resolve().relative_to(ROOT).as_posix() for link in _LINK.findall(text)]


@pytest.mark.parametrize("page", LECTURES, ids=["en", "ko"])
def test_the_lecture_has_every_slide_with_files_and_a_test(page: Path) -> None:
    rows = rows_of(page)
    assert list(rows) == [str(number) for number in range(1, ROWS + 1)]
    for number, (_, where, tests) in ((number, (row + ["", ""])[:3]) for number, row in rows.items()):
        assert [path for path in targets(page, tests) if path.startswith("tests/")], f"row {number} has no test"
        files = targets(page, where)
        assert files or "Engine.run()" in where, f"row {number} has no file"
        for path in files:
            assert (ROOT / path).exists(), f"row {number}: {path}"


@pytest.mark.parametrize("page", LECTURES, ids=["en", "ko"])
def test_every_file_that_the_lecture_names_exists(page: Path) -> None:
    names = {path.name for folder in ("src", "game", "tests", "tools", "benchmarks", "docs") for path in (ROOT / folder).rglob("*")}
    for line in prose_of(page):
        for code in _CODE.findall(line):
            if re.fullmatch(r"[\w./-]+\.(py|pyi|pyx|pxi|c|h|md)", code):
                assert (ROOT / code).exists() or Path(code).name in names, f"{page.name}: {code}"


@pytest.mark.parametrize("page", LECTURES, ids=["en", "ko"])
def test_every_function_that_the_lecture_names_is_in_its_files(page: Path) -> None:
    for number, (_, where, *_) in rows_of(page).items():
        texts = [(ROOT / path).read_text(encoding="utf-8") for path in targets(page, where) if (ROOT / path).is_file()]
        for function in re.findall(r"`(\w+)\(\)`", where):
            assert any(re.search(rf"\b{function}\(", text) for text in texts), f"row {number}: {function}()"


def test_the_korean_lecture_has_the_same_rows() -> None:
    english, korean = (rows_of(page) for page in LECTURES)
    assert english.keys() == korean.keys()
    for number in english:
        for column in (1, 2):
            there, here = (sorted(targets(page, rows[number][column])) for page, rows in zip(LECTURES, (english, korean), strict=True))
            assert there == here, f"row {number}"


def test_the_korean_readme_has_the_same_numbers() -> None:
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))

    def table(text: str) -> list[list[str]]:
        lines = [line.split("|")[2:] for line in text.splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line if re.search(r"\d", cell)] for line in lines]

    assert table(english) == table(korean), "the table of README.md was filled again: put its numbers into README.ko.md"


def numbers_of(page: Path) -> Counter[str]:
    """The numbers in the page's sentences and lists, as they are written; not those of tables, code and addresses."""
    text = " ".join(re.sub(r"\]\([^)]*\)", "]", line) for line in prose_of(page) if not line.startswith("|"))
    return Counter(re.findall(r"\d[\d,.]*\d|\d", text))


def differing_numbers(english: Path, korean: Path) -> tuple[set[str], set[str]]:
    """Those that the Korean text lacks, and those measured ones (with a comma or a point) that only it has."""
    there, here = numbers_of(english), numbers_of(korean)
    alone = {number for number in here if re.search(r"[,.]", number) and number not in there}
    # Korean counts large round numbers in ten thousands.
    here.update(f"{int(tens) * 10_000:,}" for tens in re.findall(r"(\d+)만", "\n".join(prose_of(korean))))
    return set(there - here), alone


def test_the_korean_readme_says_the_same_numbers_in_its_sentences() -> None:
    assert differing_numbers(ROOT / "README.md", ROOT / "README.ko.md") == (set(), set())


def test_a_number_in_one_readme_only_would_be_seen(tmp_path: Path) -> None:
    english, korean = tmp_path / "README.md", tmp_path / "README.ko.md"
    english.write_text("It holds 10,813 players, 200,000 monsters, 2 of 2.\n\n| 5,000 |\n", encoding="utf-8")
    korean.write_text("플레이어 10,915명, 몬스터 20만 마리, 2개.\n", encoding="utf-8")
    assert differing_numbers(english, korean) == ({"10,813", "2"}, {"10,915"})


def test_the_players_held_are_those_of_the_table() -> None:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition("## Players held")[2], maxsplit=1, flags=re.MULTILINE)[0]
    known = set(re.findall(r"\d+,\d+", section))
    quoted = 0
    for page in PAGES:
        if page.name == "benchmarks.md":
            continue
        for paragraph in "\n".join(prose_of(page)).split("\n\n"):
            if "benchmarks.md#players-held" in paragraph:
                found = set(re.findall(r"\d+,\d+", paragraph))
                quoted += len(found)
                assert found <= known, f"{page.name}: the table of benchmarks.md has no {found - known}"
    assert quoted > 6


def test_the_pictures_are_what_the_tool_draws() -> None:
    specification = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for name, drawn in module.pictures().items():
        assert (DOCS / "images" / name).read_text(encoding="utf-8") == drawn, f"run python3 tools/pictures.py: {name}"


# ---- the site ----

builds = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("mkdocstrings") is None,
    reason="what builds the documentation is not installed: python3 tools/dev.py docs",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly where every attempt to reach another machine fails."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    said = built.stdout + built.stderr
    assert built.returncode == 0, said
    assert not [line for line in said.splitlines() if re.match(r"(WARNING|ERROR|DeprecationWarning)", line)], said
    return folder / "site"


NO_NETWORK = """
import socket

def refuse(*_):
    raise OSError("the documentation is built without a network")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
"""


class _Loads(html.parser.HTMLParser):
    """What a page loads by itself, and where its links go."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.add(value or "")
            if name in ("src", "srcset", "poster", "data") or (name == "href" and tag == "link"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")


def pages_of(site: Path) -> Iterator[tuple[Path, _Loads]]:
    for path in sorted(site.rglob("*.html")):
        loads = _Loads()
        loads.feed(path.read_text(encoding="utf-8"))
        yield path, loads


@builds
@pytest.mark.timeout(300)
def test_the_site_builds_without_a_warning_or_a_network(site: Path) -> None:
    assert (site / "index.html").exists() and (site / "tutorial.html").exists() and (site / "ko" / "lecture.html").exists()


@builds
@pytest.mark.timeout(300)
def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for path, loads in pages_of(site):
        foreign = [url for url in loads.loaded if re.match(r"(?:[a-z]+:)?//", url)]
        assert foreign == [], path.relative_to(site)
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//[^)]*", sheet.read_text(encoding="utf-8")) == [], sheet.name


@builds
@pytest.mark.timeout(300)
def test_the_site_s_own_links_lead_somewhere(site: Path) -> None:
    pages = {path: loads for path, loads in pages_of(site)}
    broken = []
    for path, loads in pages.items():
        if path.name == "404.html":
            continue  # Its links begin at the site's root, wherever that will be.
        for link in loads.linked + loads.loaded:
            where, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (path.parent / unquote(where)).resolve() if where else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif anchor and target in pages and unquote(anchor) not in pages[target].ids:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


@builds
@pytest.mark.timeout(300)
def test_the_reference_has_everything_that_is_public(site: Path) -> None:
    import iocp

    said = "".join((site / "reference" / name).read_text(encoding="utf-8") for name in ("iocp.html", "settings.html"))
    missing = [name for name in iocp.__all__ if not name.startswith("__") and not re.search(rf'id="iocp[\w.]*\.{name}"', said)]
    assert missing == []
