"""Source distribution and wheels: build, compare, audit, test, and check what the workflows rely on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("wheels.py: needs Python 3.11 or later, this is " + sys.version.split()[0])

from toolkit.message import ToolError, say
from toolkit.usage import UsageError, take
from wheeltool import check, sdist, strict, suite, wheel

USAGE = """\
usage: python tools/wheels.py sdist
       python tools/wheels.py wheel [--python LIST] [--sdist FILE]
       python tools/wheels.py audit [--python LIST] [--sdist FILE]
       python tools/wheels.py test [--python LIST] [--sdist FILE] [--again] [pytest arguments]
       python tools/wheels.py strict [--compiler NAME] [--contract PROGRAM] [--client PROGRAM]
       python tools/wheels.py check [--release TAG | --complete FOLDER]
"""
HELP = (
    USAGE
    + """
commands:
  sdist    the source distribution into dist/, compared with what git has, byte by byte
  wheel    wheels from that sdist, with liburing linked in statically
  audit    auditwheel's verdict on them; the repaired wheel, installed alone, must serve io_uring without a liburing of the system
  test     the wheel with its extras into a fresh environment, then the tests of the sdist from an empty folder
  strict   the C that Windows compiles, held to what MSVC understands: by MSVC itself where it is, else by clang;
           with --contract it makes the port's native tests a program instead, with --client the chess client in C (MSVC only; the
           client's header is written by the iocp that is installed)
  check    the workflows, and the wheels that cibuildwheel would build; with --release, whether that tag may be released;
           with --complete, whether all that is to be published lies in that folder

LIST is versions joined by commas, such as 3.11,3.12,3.14t (default: the version that runs this tool). They are looked for on PATH
and in pyenv. FILE is an sdist that is there already (default: the one in dist/, made anew if a source is newer).
--again tests in the environment of the last time, if the wheel has not changed.

examples:
  python tools/wheels.py sdist
  python tools/wheels.py audit
  python tools/wheels.py test --python 3.11,3.12,3.13 -x -q
  python tools/wheels.py test --python 3.13 --again -x -q tests/core
  python tools/wheels.py check --release v0.1.0

The packaging tools (the dependency group `wheels`) are installed into build/wheels/tools at the first use.
Exit codes: 0 all is well; 1 a finding, a failed step or a failed test; 2 wrong usage; 130 interrupted.
"""
)


def report(findings: Sequence[str], fine: str) -> int:
    for finding in findings:
        print(finding)
    say(f"{len(findings)} findings" if findings else fine)
    return 1 if findings else 0


def pythons(words: list[str]) -> list[str]:
    given = take(words, "--python")
    if given is None:
        return [f"{sys.version_info[0]}.{sys.version_info[1]}"]
    versions = [word for word in given.replace(" ", "").split(",") if word]
    for version in versions:
        major, _, minor = version.rstrip("t").partition(".")
        if major != "3" or not minor.isdigit() or int(minor) < 11:
            raise UsageError(f"--python takes versions from 3.11 on, joined by commas, not {given!r}")
    return versions


def archive_of(words: list[str]) -> Path:
    given = take(words, "--sdist")
    if given is None:
        return sdist.newest()
    if not Path(given).is_file():
        raise UsageError(f"--sdist names no file: {given}")
    return Path(given).absolute()


def refuse(words: Sequence[str]) -> None:
    if words:
        raise UsageError(f"unexpected: {' '.join(words)}")


def make_sdist(words: list[str]) -> int:
    refuse(words)
    archive = sdist.build()
    print(archive)
    count = len(sdist.contents(archive))
    return report(sdist.compare(archive), f"{archive.name}: {count} files, as in git; left out: {', '.join(sdist.LEFT_OUT)}")


def make_wheels(words: list[str]) -> int:
    versions, archive = pythons(words), archive_of(words)
    refuse(words)
    for version in versions:
        print(wheel.build(archive, version))
    return 0


def audit(words: list[str]) -> int:
    versions, archive = pythons(words), archive_of(words)
    refuse(words)
    for version in versions:
        print(f"Python {version}\n{wheel.audit(wheel.build(archive, version), version)}")
    return 0


def test(words: list[str]) -> int:
    versions, archive = pythons(words), archive_of(words)
    again = "--again" in words
    arguments = [word for word in words if word not in ("--again", "--")]
    failed = [version for version in versions if suite.test(archive, version, arguments, again)]
    return report([f"Python {version}: the tests failed" for version in failed], f"tests passed on {', '.join(versions)}")


def strictly(words: list[str]) -> int:
    compiler = take(words, "--compiler") or strict.default_compiler()
    makers = {"--contract": strict.contract, "--client": strict.lecture_client}
    wanted = {option: program for option in makers if (program := take(words, option)) is not None}
    refuse(words)
    for option, program in wanted.items():
        makers[option](compiler, Path(program).absolute())
    if wanted:
        return 0
    return report(strict.check(compiler), f"{compiler}: nothing that MSVC would not understand")


def checks(words: list[str]) -> int:
    tag, folder = take(words, "--release"), take(words, "--complete")
    refuse(words)
    if tag is not None:
        return report(check.release(tag), f"{tag} may be released")
    if folder is not None:
        return report(check.complete(Path(folder)), f"{folder} holds the sdist and every wheel")
    findings = [*check.workflows(), *(finding for platform in check.PLATFORMS for finding in check.identifiers(platform))]
    count = sum(len(check.expected(platform)) for platform in check.PLATFORMS)
    return report([*findings, *check.packages()], f"workflows fine; cibuildwheel would build the {count} wheels that are wanted")


COMMANDS = {"sdist": make_sdist, "wheel": make_wheels, "audit": audit, "test": test, "strict": strictly, "check": checks}


def main(words: Sequence[str]) -> int:
    if not words:
        raise UsageError("name a command")
    if words[0] in ("-h", "--help", "help") or (len(words) > 1 and words[1] in ("-h", "--help")):
        print(HELP, end="")
        return 0
    if words[0] not in COMMANDS:
        raise UsageError(f"no such command: {words[0]}")
    return COMMANDS[words[0]](list(words[1:]))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        print(f"wheels.py: {error}\n{USAGE}(--help shows examples)", file=sys.stderr)
        sys.exit(2)
    except ToolError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
