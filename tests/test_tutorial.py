"""The tutorial, the how-to guides and the README are true: what they show is run, for real, on each backend."""

from __future__ import annotations


import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import iocp
from snippets import PageError, PageRun, _command, blocks_of, free_port, pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = [page for page in pages(ROOT)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, backend: str, tmp_path: Path) -> None:
    with PageRun(page, tmp_path, backend) as run:
        run.run()
    for reason in run.skipped:
        print(f"not run: {reason}")
