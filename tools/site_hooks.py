"""What MkDocs does beyond its own for the documentation's site (mkdocs.yml).

The pages of docs/ are read in two places: in the repository, and as a site of their own. These things make the same text work in both:

- A link that leads out of docs/ (to a source, a test) leads, on the site, to a page that shows that file. A file that does not exist
  stays a broken link, which the strict build refuses.
- `<!-- include: FILE NAME -->` becomes what stands in FILE between `<!-- NAME:start -->` and `<!-- NAME:end -->`, said once only.
- Pages in ko/ are marked as Korean, and long names in tables may be broken.
- Comments for the tests of the snippets (tests/snippets.py) are left out.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PROJECT = Path(__file__).resolve().parents[1]
SOURCES = "source"
"""The folder of the site that has the pages of files outside of docs/."""
_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]*)((?:#[^)\s]*)?\))")
_INCLUDE = re.compile(r"<!-- include: (\S+) (\S+) -->")
_CELL = re.compile(r"<td.*?</td>", re.S)
_NAME = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_TEST = re.compile(r"^<!-- test: .*? -->\n", re.M | re.S)
_LANGUAGES = {".py": "python", ".pyi": "python", ".c": "c", ".h": "c", ".pyx": "cython", ".pxi": "cython", ".toml": "toml",
              ".md": "markdown", ".js": "javascript", ".css": "css", ".yml": "yaml"}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """A page for each file or folder outside of docs/ that a page links to."""
    wanted: set[str] = set()
    for file in list(files.documentation_pages()):
        for link in _LINK.finditer(_whole(file.content_string)):
            target = _outside(file.src_uri, link[2])
            if target is not None:
                wanted.add(target)
                wanted.update(entry for entry in _entries(target) if (PROJECT / entry).is_file())
    for target in sorted(wanted):
        files.append(File.generated(config, _page_of(target), content=_show(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri

    def redirected(link: re.Match[str]) -> str:
        target = _outside(here, link[2])
        if target is None:
            return link[0]
        return link[1] + posixpath.relpath(_page_of(target), posixpath.dirname(here)) + link[3]

    if here.startswith(SOURCES + "/"):
        return markdown
    return _LINK.sub(redirected, _TEST.sub("", _whole(markdown)))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Long names in tables get places where they may be broken; pages in another language say so, for line breaks, voices and fonts."""
    html = _CELL.sub(lambda cell: _NAME.sub(lambda name: re.sub(r"([/(])", r"\1<wbr>", name[0]), cell[0]), html)
    return f'<div lang="ko">{html}</div>' if page.file.src_uri.startswith("ko/") else html


def _whole(markdown: str) -> str:
    """With what it includes."""
    return _INCLUDE.sub(lambda found: _included(found[1], found[2]), markdown)


def _included(name: str, part: str) -> str:
    text = (PROJECT / name).read_text(encoding="utf-8")
    start, end = f"<!-- {part}:start -->\n", f"<!-- {part}:end -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{name} has no part {part!r} between {start.strip()} and {end}")
    # The file that includes stands in docs/, the one that is included beside it.
    return text.split(start)[1].split(end)[0].replace("](docs/", "](")


def _outside(page: str, link: str) -> str | None:
    """The path, from the project's root, of an existing file or folder outside of docs/ that `link` on `page` leads to."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    if path.startswith(("docs/", "..")) or path == "docs" or not (PROJECT / path).exists():
        return None
    return path


def _entries(folder: str) -> list[str]:
    if not (PROJECT / folder).is_dir():
        return []
    found = sorted((PROJECT / folder).iterdir(), key=lambda path: (path.is_dir(), path.name))
    return [path.relative_to(PROJECT).as_posix() for path in found if path.suffix in _LANGUAGES]


def _page_of(target: str) -> str:
    # A folder's page lies beside the folder: index.md and README.md would be one page to MkDocs.
    return f"{SOURCES}/{target}.md" if (PROJECT / target).is_file() else f"{SOURCES}/{target}-folder.md"


def _show(target: str) -> str:
    head = f"---\ntitle: {target}\nsearch:\n  exclude: true\nhide: [navigation, toc]\n---\n# `{target}`\n\n"
    if (PROJECT / target).is_dir():
        here = posixpath.dirname(_page_of(target))
        return head + "\n".join(
            f"- [{posixpath.basename(entry)}]({posixpath.relpath(_page_of(entry), here)})"
            for entry in _entries(target)
            if (PROJECT / entry).is_file()
        )
    text = (PROJECT / target).read_text(encoding="utf-8")
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`{3,}", text))])
    return f'{head}{fence}{_LANGUAGES.get(Path(target).suffix, "text")}\n{text.rstrip()}\n{fence}\n'

