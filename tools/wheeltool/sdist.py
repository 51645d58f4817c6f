"""The source distribution: built, then compared with what git has, file by file and byte by byte."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

from toolkit.message import ToolError, say

from .places import OUTPUT, PROJECT, run, tools

# What git has and the sdist has not, with the reason.
LEFT_OUT = {
    ".github/": "workflows run where the repository lives; nothing in an unpacked sdist uses them",
    ".ci/": "the same: it runs what docs/testing.md lists",
    ".gitattributes": "means something to git only",
    ".gitignore": "the same",
}
# What the sdist has and git has not: setuptools' own.
GENERATED = re.compile(r"PKG-INFO|setup\.cfg|pyiocp\.egg-info/.*")


def build() -> Path:
    """dist/pyiocp-VERSION.tar.gz, made anew. Earlier ones are removed: whoever says dist/*.tar.gz gets this one."""
    for old in OUTPUT.glob("pyiocp-*.tar.gz"):
        old.unlink()
    run([tools() / "pyproject-build", "--sdist", "--outdir", OUTPUT])
    (made,) = OUTPUT.glob("pyiocp-*.tar.gz")
    return made


def newest() -> Path:
    """The sdist in dist/, if there is one that no source file is newer than; else a new one."""
    found = sorted(OUTPUT.glob("pyiocp-*.tar.gz"))
    if len(found) == 1 and not any(path.stat().st_mtime > found[0].stat().st_mtime for path in map(PROJECT.joinpath, tracked())):
        return found[0]
    say("building the sdist")
    return build()


def tracked() -> list[str]:
    """Every file git knows, deleted ones left out; ToolError where there is no git."""
    done = subprocess.run(["git", "-C", str(PROJECT), "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode:
        raise ToolError(f"this needs a checkout, to compare the sdist with what git has: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name and (PROJECT / name).is_file()]


def contents(archive: Path) -> dict[str, bytes]:
    """Path below the archive's one folder -> bytes."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                found[member.name.partition("/")[2]] = content.read()
    return found


def reason_left_out(name: str) -> str | None:
    for prefix, reason in LEFT_OUT.items():
        if name == prefix or (prefix.endswith("/") and name.startswith(prefix)):
            return reason
    return None


def compare(archive: Path) -> list[str]:
    """What is wrong with the archive's contents; empty: nothing."""
    inside, known = contents(archive), tracked()
    findings = []
    for name in known:
        reason = reason_left_out(name)
        if reason is None and name not in inside:
            findings.append(f"{name}: git has it, the sdist does not (MANIFEST.in)")
        elif reason is not None and name in inside:
            findings.append(f"{name}: in the sdist, though it is to be left out: {reason}")
        elif name in inside and inside[name] != (PROJECT / name).read_bytes():
            findings.append(f"{name}: not the same bytes")
    for name in sorted(inside.keys() - set(known)):
        if not GENERATED.fullmatch(name):
            findings.append(f"{name}: in the sdist, unknown to git")
    for prefix in LEFT_OUT:
        if not any(reason_left_out(name) and (name == prefix or name.startswith(prefix)) for name in known):
            findings.append(f"{prefix}: listed as left out, but git has no such thing any more")
    return findings


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack it; returns the one folder that it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top
