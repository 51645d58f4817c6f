"""What comes from Debian: the tools (wine, mingw) and CPython's source archive.

The source archive is needed for the headers: `PC/pyconfig.h` is the Windows one, and no Linux package installs it. It
is fetched with apt's own client and keys, but with private lists in the cache, so that /etc/apt is never changed and
root is not needed for it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tarfile
from pathlib import Path

from .command import call
from .home import ToolError

# command -> the package that brings it
COMMANDS = {
    "wine": "wine wine64",
    "wineserver": "wine wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "x86_64-w64-mingw32-dlltool": "binutils-mingw-w64-x86-64",
    "x86_64-w64-mingw32-objdump": "binutils-mingw-w64-x86-64",
    "gendef": "mingw-w64-tools",
}
SOURCE_PACKAGE = "python3.11"
ARCHIVE_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def missing_packages() -> list[str]:
    wanted = {package for command, packages in COMMANDS.items() if not shutil.which(command) for package in packages.split()}
    if importlib.util.find_spec("ensurepip") is None:
        # Debian's own python3 comes without it, and a venv cannot be made.
        wanted.add("python3-venv")
    return sorted(wanted)


def install(packages: list[str]) -> None:
    line = "apt-get install --no-install-recommends -y " + " ".join(packages)
    if not shutil.which("apt-get"):
        raise ToolError(f"Debian packages are missing and there is no apt-get here; install the like of: {' '.join(packages)}")
    if os.geteuid() != 0:
        raise ToolError(
            f"Debian packages are missing; as root, run\n    apt-get update && {line}\nthen start this command again"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call(["apt-get", "update"], environment=environment)
    call(line.split(), environment=environment)
    left = [name for name in COMMANDS if not shutil.which(name)]
    if left:
        raise ToolError(f"installed, but still not on PATH: {', '.join(left)}")


def fetch_python_source(draft: Path) -> None:
    """Fills `draft` with Include/ (Windows pyconfig.h among it) and Lib/ of CPython."""
    apt = _private_apt(draft / "apt")
    advice = f"{SOURCE_PACKAGE} is a source package of Debian 12; on another release, point apt at one that has it"
    call([*apt, "update"], advice=advice)
    call([*apt, "source", "--download-only", "--tar-only", SOURCE_PACKAGE], cwd=draft / "apt", advice=advice)
    archives = list((draft / "apt").glob("*.orig.tar.*"))
    if len(archives) != 1:
        raise ToolError(f"apt-get source brought {len(archives)} archives instead of one")
    _unpack(archives[0], draft)
    shutil.rmtree(draft / "apt")


def _private_apt(folder: Path) -> list[str]:
    """apt-get with its own source lists: those this machine already uses, as deb-src."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    sources = folder / "private.sources"
    stanza = "Types: deb-src|URIs: $(REPO_URI)|Suites: $(RELEASE)|Components: $(COMPONENT)|"
    if ARCHIVE_KEYS.exists():
        stanza += f"Signed-By: {ARCHIVE_KEYS}|"
    query = ["apt-get", "indextargets", "--format", stanza, "Created-By: Packages", "Origin: Debian", "Component: main"]
    text = call(query).replace("|", "\n")
    if "URIs:" not in text:
        # The lists are empty on a fresh container until the first update; apt then knows no origins.
        if os.geteuid() != 0:
            raise ToolError("apt has no package lists; as root, run\n    apt-get update\nthen start this command again")
        call(["apt-get", "update"])
        text = call(query).replace("|", "\n")
    if "URIs:" not in text:
        raise ToolError("apt knows no Debian archive; the CPython headers come from Debian's source package " + SOURCE_PACKAGE)
    sources.write_text(text)
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        # apt would drop to a user who may not read a cache below a home folder.
        "APT::Sandbox::User": "root",
    }
    return ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            _top, _, inside = member.name.partition("/")
            if not member.isfile() or not (inside == "PC/pyconfig.h" or inside.startswith(("Include/", "Lib/"))):
                continue
            if inside.startswith(("Lib/test/", "Lib/idlelib/", "Lib/ensurepip/_bundled/")) or ".." in inside.split("/"):
                continue
            # The Windows pyconfig.h stands beside Python.h, as it does in an installed Windows Python.
            path = target / ("Include/pyconfig.h" if inside == "PC/pyconfig.h" else inside)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None
            path.write_bytes(content.read())
    if not (target / "Include" / "pyconfig.h").exists():
        raise ToolError(f"{archive.name} has no PC/pyconfig.h")
