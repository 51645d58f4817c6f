"""Run the native tests of the port under gcc's and clang's sanitizers, on every Linux backend of this machine.

    python tools/sanitize.py [address] [undefined] [thread] [--compiler gcc|clang] [--test NAME]

Without a name all three run; `address` and `undefined` in one build, because they can. One line per run, the reports of those
that failed, and a sum at the end. Exit code 0: no report; 1: a report, a failed test or a build that failed; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[1]
BACKENDS = ("epoll", "io_uring")
SKIPPED = 77
DEADLINE = 60  # seconds that a single wait may take: the sanitizers slow a test down by up to twenty times
LONGEST = 20 * 60  # seconds for all tests on one backend
OPTIONS = {
    # A report ends the test it is in, with a code no test uses; leaks count. What is freed stays poisoned for the whole test.
    "ASAN_OPTIONS": "exitcode=86:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=256",
    "UBSAN_OPTIONS": "exitcode=86:print_stacktrace=1:halt_on_error=1",
    # Of two threads' stacks the older one is remembered for longer than by default; a deadlock has two as well.
    "TSAN_OPTIONS": "history_size=7:second_deadlock_stack=1:halt_on_error=0",
}


def load_build() -> ModuleType:
    """tests/port/build.py, by its path: it belongs to no package."""
    path = PROJECT / "tests" / "port" / "build.py"
    spec = importlib.util.spec_from_file_location("contract_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def combine(names: Sequence[str]) -> list[list[str]]:
    """The builds to make: ThreadSanitizer cannot share one with AddressSanitizer."""
    together = [name for name in ("address", "undefined") if name in names]
    return [build for build in (together, ["thread"] if "thread" in names else []) if build]


def make(build: ModuleType, folder: Path, sanitize: Sequence[str], compiler: str | None) -> tuple[Path, str]:
    """The program and the compiler that made it: the first one that can."""
    failures = []
    for candidate in [compiler] if compiler else ["gcc", "clang"]:
        out = folder / f"contract-{'-'.join(sanitize)}"
        try:
            return build.build(out, sanitize=sanitize, compiler=candidate), candidate
        except build.BuildError as error:
            failures.append(str(error))
    raise build.BuildError("\n".join(failures))


def run(program: Path, backend: str, test: str | None) -> tuple[int, str, float]:
    """Exit code, everything it printed, seconds."""
    code, text, seconds = run_once([str(program), backend, *([test] if test else [])])
    if "ThreadSanitizer: unexpected memory mapping" in text and shutil.which("setarch"):
        # Kernels that scatter addresses more widely than the compilers of Debian 12 expect (vm.mmap_rnd_bits above 28).
        code, text, seconds = run_once(["setarch", "-R", str(program), backend, *([test] if test else [])])
    return code, text, seconds


def run_once(command: Sequence[str]) -> tuple[int, str, float]:
    environment = {**os.environ, **OPTIONS, "CONTRACT_SECONDS": str(DEADLINE)}
    start = time.monotonic()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=LONGEST,
            env=environment,
        )
    except subprocess.TimeoutExpired as expired:
        text = expired.stdout.decode(errors="replace") if isinstance(expired.stdout, bytes) else expired.stdout or ""
        return 124, f"{text}\nnothing more within {LONGEST} s", time.monotonic() - start
    return done.returncode, done.stdout, time.monotonic() - start


def without_passed(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not re.match(r"(ok|skip) \w+", line))


def main(words: Sequence[str]) -> int:
    build = load_build()
    parser = argparse.ArgumentParser(prog="sanitize.py", description="The port's native tests under sanitizers.")
    parser.add_argument("names", nargs="*", metavar="address|undefined|thread", help="default: all three")
    parser.add_argument("--compiler", help="default: gcc, or clang where gcc has no such sanitizer")
    parser.add_argument("--test", metavar="NAME", help="one test only")
    given = parser.parse_args(words)
    for name in given.names:
        if name not in build.SANITIZERS:
            parser.error(f"no such sanitizer: {name} (there are {', '.join(build.SANITIZERS)})")
    if not sys.platform.startswith("linux"):
        parser.error("the sanitizers are for Linux; elsewhere the same tests run without them (tests/port/)")

    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="sanitize-") as folder:
        for sanitize in combine(given.names or build.SANITIZERS):
            label = "+".join(sanitize)
            try:
                program, compiler = make(build, Path(folder), sanitize, given.compiler)
            except build.BuildError as error:
                print(f"{label}: not built\n{error}", flush=True)
                failed += 1
                continue
            for backend in BACKENDS:
                code, text, seconds = run(program, backend, given.test)
                last = text.strip().splitlines()[-1] if text.strip() else "no output"
                # A sanitizer that only warns must count, whatever the exit code.
                reported = bool(re.search(r"(Sanitizer:|: runtime error:)", text))
                if code == SKIPPED and not reported:
                    skipped += 1
                    verdict = last
                elif code == 0 and not reported:
                    passed += 1
                    verdict = last
                else:
                    failed += 1
                    verdict = f"FAILED with code {code}\n{without_passed(text)}"
                print(f"{label} ({compiler}), {backend}, {seconds:.0f} s: {verdict}", flush=True)
    print(f"sanitizers: {passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
