"""Wheels from the sdist, and what auditwheel says of them."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from pathlib import Path

from toolkit.message import ToolError, say

from . import sdist
from .places import OUTPUT, SCRATCH, find_python, install, new_venv, run, tools

# liburing in the extension itself, as in the wheels that are published; on Windows the word is not looked at.
STATIC = {"PYIOCP_LIBURING": "static"}
# What a wheel is made from; a change of anything else in the sdist makes no other wheel.
PARTS = ("src/", "game/", "setup.py", "pyproject.toml", "README.md", "LICENSE")
LOOK = """
import sys, iocp
print("backends: " + ", ".join(iocp.available_backends()))
with open("/proc/self/maps") as maps:
    loaded = sorted({line.split()[-1] for line in maps if "uring" in line})
print("liburing loaded from: " + (", ".join(loaded) or "nowhere (it is in the extension)"))
sys.exit(bool(loaded) or "io_uring" not in iocp.available_backends())
"""


def digest_of(archive: Path) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(sdist.contents(archive).items()):
        if name.startswith(PARTS):
            digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()


def build(archive: Path, version: str) -> Path:
    """The wheel for one Python, in dist/; made again only when the sdist has other sources."""
    folder = SCRATCH / version
    stamp = folder / "made-from"
    digest = digest_of(archive)
    if stamp.exists() and stamp.read_text().startswith(digest):
        made = OUTPUT / stamp.read_text().split()[1]
        if made.exists():
            return made
    say(f"building the wheel for Python {version} from {archive.name}")
    python = new_venv(folder / "build", find_python(version))
    shutil.rmtree(folder / "wheel", ignore_errors=True)
    # pip unpacks the sdist and builds in an environment of its own: nothing of the checkout is in reach.
    run([python, "-m", "pip", "wheel", "-q", "--no-deps", "--no-cache-dir", "--wheel-dir", folder / "wheel", archive], folder, STATIC)
    (wheel,) = (folder / "wheel").glob("*.whl")
    OUTPUT.mkdir(exist_ok=True)
    made = Path(shutil.copy(wheel, OUTPUT / wheel.name))
    stamp.write_text(f"{digest} {made.name}")
    return made


def audit(wheel: Path, version: str) -> str:
    """auditwheel's verdict, the repaired wheel in dist/repaired, and that one installed where nothing else is and looked at."""
    if not sys.platform.startswith("linux"):
        raise ToolError("auditwheel knows Linux wheels only")
    shown = run([tools() / "auditwheel", "show", wheel])
    verdict = re.search(r'platform tag:\s+"([^"]+)"', shown)
    libraries = re.search(r"external shared libraries[^{]*(\{[^}]*\})", shown.replace("\n", " "))
    if "liburing" in shown:
        raise ToolError(f"{wheel.name} needs a liburing from outside:\n{shown}")
    repaired = OUTPUT / "repaired"
    shutil.rmtree(repaired, ignore_errors=True)
    # auditwheel looks for patchelf on PATH.
    path = f"{tools()}:{run(['printenv', 'PATH']).strip()}"
    run([tools() / "auditwheel", "repair", "-w", repaired, wheel], variables={"PATH": path})
    (made,) = repaired.glob("*.whl")
    python = new_venv(SCRATCH / version / "audit", find_python(version))
    install(python, made)
    empty = SCRATCH / version / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    seen = run([python, "-c", LOOK], cwd=empty)
    lines = [f"verdict: {verdict.group(1)}" if verdict else shown.strip()]
    lines += [f"libraries: {libraries.group(1)}"] if libraries else []
    return "\n".join([*lines, f"repaired: {made.name}", seen.strip()])
