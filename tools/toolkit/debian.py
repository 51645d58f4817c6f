"""Packages and source archives of Debian.

A source archive is fetched with apt's own client and keys, but with private lists in the cache, so that /etc/apt is never
changed and root is not needed for it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .command import call
from .message import ToolError

ARCHIVE_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def install(packages: Sequence[str]) -> None:
    """apt-get install, or the command for it where this is not root. Nothing to do for an empty list."""
    if not packages:
        return
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


def fetch_source(folder: Path, package: str, suite: str | None = None, advice: str = "") -> Path:
    """Fetches the source archive (.orig.tar) of `package` into `folder`, a new one of its own. From `suite`, a release of Debian
    by its name, or from those this machine uses already. Returns the archive's path; `advice` ends the message of a failure."""
    apt = _private_apt(folder, package, suite)
    call([*apt, "update"], advice=advice)
    call([*apt, "source", "--download-only", "--tar-only", package], cwd=folder, advice=advice)
    archives = list(folder.glob("*.orig.tar.*"))
    archives = [path for path in archives if path.suffix != ".asc"]
    if len(archives) != 1:
        raise ToolError(f"apt-get source brought {len(archives)} archives instead of one")
    return archives[0]


def _private_apt(folder: Path, package: str, suite: str | None) -> list[str]:
    """apt-get with its own source lists: those this machine already uses, as deb-src."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    sources = folder / "private.sources"
    stanza = f"Types: deb-src|URIs: $(REPO_URI)|Suites: {suite or '$(RELEASE)'}|Components: $(COMPONENT)|"
    if ARCHIVE_KEYS.exists():
        stanza += f"Signed-By: {ARCHIVE_KEYS}|"
    query = ["apt-get", "indextargets", "--format", stanza, "Created-By: Packages", "Origin: Debian", "Component: main"]
    if suite:
        query.append("Label: Debian")  # the main archive: that of security updates has no suite of this name
    text = call(query)
    if "URIs:" not in text:
        # The lists are empty on a fresh container until the first update; apt then knows no origins.
        if os.geteuid() != 0:
            raise ToolError("apt has no package lists; as root, run\n    apt-get update\nthen start this command again")
        call(["apt-get", "update"])
        text = call(query)
    if "URIs:" not in text:
        raise ToolError(f"apt knows no Debian archive; the source comes from Debian's source package {package}")
    # Suites of one archive that became the same stanza are one.
    stanzas = dict.fromkeys(part.strip() for part in text.replace("|", "\n").split("\n\n"))
    sources.write_text("\n\n".join(stanzas) + "\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        # apt would drop to a user who may not read a cache below a home folder.
        "APT::Sandbox::User": "root",
    }
    return ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
