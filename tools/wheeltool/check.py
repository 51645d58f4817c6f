"""The workflows and the settings they stand on, checked as far as a machine without GitHub can; and whether a tag may be released."""

from __future__ import annotations

import re
from pathlib import Path

from toolkit.message import ToolError

from .places import OUTPUT, PROJECT, metadata, run, tools

PYTHONS = ("cp311", "cp312", "cp313", "cp314", "cp314t")
# cibuildwheel's platform, its architectures, and the tags they give.
PLATFORMS = {
    "linux": ("x86_64,aarch64", ("manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64")),
    "windows": ("AMD64,ARM64", ("win_amd64", "win_arm64")),
}
PLACEHOLDER = "OWNER"


def expected(platform: str) -> set[str]:
    return {f"{python}-{tag}" for python in PYTHONS for tag in PLATFORMS[platform][1]}


def identifiers(platform: str) -> list[str]:
    """What is wrong with the wheels that cibuildwheel would make for that platform."""
    architectures = PLATFORMS[platform][0]
    said = run([tools() / "cibuildwheel", "--print-build-identifiers", "--platform", platform, "--archs", architectures])
    found = set(said.split())
    missing, extra = sorted(expected(platform) - found), sorted(found - expected(platform))
    findings = [f"cibuildwheel would not build {', '.join(missing)}"] if missing else []
    return findings + ([f"cibuildwheel would also build {', '.join(extra)}"] if extra else [])


def complete(folder: Path) -> list[str]:
    """What is missing in a folder that is to be published: one sdist, and each wheel that cibuildwheel was to build."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found: dict[str, list[str]] = {}
    findings = []
    for name in names:
        wheel = re.fullmatch(r"pyiocp-([^-]+)-(cp\d+)-(cp\d+t?)-(\S+)\.whl", name)
        if name == f"pyiocp-{version()}.tar.gz":
            found.setdefault("sdist", []).append(name)
        elif wheel is None or wheel.group(1) != version():
            findings.append(f"{name}: not of this release ({version()})")
        else:
            # manylinux_2_26_x86_64.manylinux_2_28_x86_64: all of one kind, told by the first.
            kind = re.sub(r"(linux)(?:_\d+)+", r"\1", wheel.group(4).partition(".")[0])
            found.setdefault(f"{wheel.group(3)}-{kind}", []).append(name)
    wanted = {"sdist", *expected("linux"), *expected("windows")}
    findings += [f"missing: {what}" for what in sorted(wanted - found.keys())]
    findings += [f"not wanted: {', '.join(found[what])}" for what in sorted(found.keys() - wanted)]
    return findings + [f"twice: {', '.join(files)}" for files in found.values() if len(files) > 1]


def workflows() -> list[str]:
    """GitHub's own schema, then zizmor's knowledge of what makes a workflow unsafe."""
    files = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
    commands: list[list[str | Path]] = [
        [tools() / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files],
        [tools() / "zizmor", "--offline", "--no-progress", "--color=never", PROJECT / ".github"],
    ]
    findings = []
    for command in commands:
        try:
            run(command)
        except ToolError as error:
            findings.append(str(error))
    return findings


def packages() -> list[str]:
    """twine's opinion of what lies in dist/."""
    made = sorted([*OUTPUT.glob("pyiocp-*.tar.gz"), *OUTPUT.glob("pyiocp-*.whl")])
    if not made:
        return []
    try:
        run([tools() / "twine", "check", "--strict", *made])
    except ToolError as error:
        return [str(error)]
    return []


def version() -> str:
    text = (PROJECT / "src/iocp/_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ToolError("src/iocp/_version.py names no version")
    return found.group(1)


def release(tag: str, project: Path = PROJECT) -> list[str]:
    """Why that tag must not be released; empty: it may."""
    findings = []
    if tag != f"v{version()}":
        findings.append(f"the tag is {tag}, but the version in src/iocp/_version.py is {version()}: it would have to be v{version()}")
    changes = (project / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = re.search(rf"^## {re.escape(version())}\b(.*)$", changes, re.MULTILINE)
    if heading is None:
        findings.append(f"CHANGELOG.md has no section for {version()}")
    elif "unreleased" in heading.group(1):
        findings.append(f"CHANGELOG.md still calls {version()} unreleased: put the date there")
    findings += [
        f"pyproject.toml: the URL {name} still has the placeholder {PLACEHOLDER}: {url}"
        for name, url in metadata()["project"]["urls"].items()
        if PLACEHOLDER in url
    ]
    if PLACEHOLDER in (project / "SECURITY.md").read_text(encoding="utf-8"):
        findings.append(f"SECURITY.md still has the placeholder {PLACEHOLDER}")
    return findings
