"""The files that a report is written to: looked at before the run, so that it is not made for nothing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report


def why_not(file: Path) -> str | None:
    """Why `file` cannot be written; None: it can. Leaves it as it is."""
    folder = file.absolute().parent
    try:
        if not folder.is_dir():
            return f"there is no folder {folder}"
        if file.is_dir():
            return f"{file} is a folder: name a file in it"
        is_there = file.exists()
        # Anything else, such as a pipe, notices each time that it is opened.
        if not is_there or file.is_file():
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o666))
            if not is_there:
                file.unlink()
    except OSError as error:
        return f"cannot write {file}: {error.strerror}"
    return None


def write_report(report: Report, json_file: Path | None, page_file: Path | None, *, last: bool) -> list[str]:
    """Write the files that were asked for, each whatever became of the other. What could not be written, and why.

    last: those alone that come after the printed text: standard output itself under another name, pipes and devices.
    """
    problems = []
    for file, write in ((json_file, _write_json), (page_file, _write_page)):
        if file is not None:
            try:
                if _comes_last(file) is last:
                    write(report, file)
            except OSError as error:
                problems.append(f"cannot write {file}: {error.strerror}")
    return problems


def _comes_last(file: Path) -> bool:
    if not file.exists() or file.is_dir():
        return False
    try:
        return not file.is_file() or os.path.samestat(file.stat(), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False  # there is no such standard output


def _write_json(report: Report, file: Path) -> None:
    file.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")


def _write_page(report: Report, file: Path) -> None:
    from .page import write_page

    write_page(report, file)
