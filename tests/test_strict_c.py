"""C that Windows compiles is what MSVC understands, as far as clang in MSVC's place can tell (tools/wheeltool/strict.py)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
if not (PROJECT / "tools" / "wheeltool").is_dir():
    pytest.skip("the tools are not here: run these tests from a checkout or an unpacked sdist", allow_module_level=True)
sys.path.insert(0, str(PROJECT / "tools"))

from wheeltool import strict  # noqa: E402

if sys.platform == "win32":
    pytest.skip("on Windows MSVC itself is asked: tools/wheels.py strict", allow_module_level=True)
for program, package in (("clang", "clang"), (strict.CROSS, "gcc-mingw-w64-x86-64")):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (Debian: apt-get install {package})", allow_module_level=True)


def findings_of(text: str, folder: Path) -> list[str]:
    file = folder / "snippet.c"
    file.write_text(f'#include "port.h"\n#include "sync.h"\n{text}\n')
    return strict.with_clang("clang", [file], folder)


def test_what_msvc_understands_passes(tmp_path: Path) -> None:
    text = """
    #include <process.h>
    #include <stdio.h>
    static PORT_THREAD_LOCAL int mine;
    #ifndef _MSC_VER
    #include <unistd.h>
    static int bits(unsigned long long v) { return __builtin_clzll(v); }
    #endif
    int f(size_t n) { int array[2] = {1, (int)n}; for (int i = 0; i < 2; i++) mine += array[i]; return mine; }
    """
    assert findings_of(text, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("int f(int n) { char room[n]; return (int)sizeof room; }", "variable length array"),
        ("int f(void) { return ({ 1; }); }", "statement expression"),
        ("int f(int a) { return a ?: 3; }", "omitting middle operand"),
        ("struct s { int a; }; struct s f(void) { struct s x = {}; return x; }", "empty initializer"),
        ("struct s { int a; int room[0]; };", "zero size arrays"),
        ("int f(int a) { switch (a) { case 1 ... 3: return 1; } return 0; }", "case range"),
        ("void *f(void *p) { return p + 1; }", "arithmetic on a pointer to void"),
        ("__attribute__((noinline)) int f(void) { return 1; }", "poisoned"),
        ("int f(unsigned long long v) { return __builtin_clzll(v); }", "poisoned"),
        ("int f(int *p) { return __atomic_load_n(p, 5); }", "poisoned"),
        ("static __thread int mine; int f(void) { return mine; }", "poisoned"),
        ("__typeof__(1) f(void) { return 1; }", "poisoned"),
        ("int f(size_t n) { return n; }", "loses integer precision"),
        ("int f(int a, unsigned b) { return a < b; }", "different signs"),
        ("double f(long long a) { return a; }", "may lose precision"),
        ("int f(char *a, const char *b) { return strcpy(a, b) != 0; }", "poisoned"),
        ("int f(const char *a, const char *b) { return strcasecmp(a, b); }", "poisoned"),
        ("ssize_t f(void);", "poisoned"),
        ("int f(int a) { return a > -2147483648; }", "minus an unsigned number"),
        ("int f(void) { return (int)-0x80000000LL; }", "minus an unsigned number"),
        ("#include <stdatomic.h>", "no <stdatomic.h>"),
        ("#include <strings.h>", "no <strings.h>"),
        ("#include <unistd.h>", "no <unistd.h>"),
        ("#include <pthread.h>", "no <pthread.h>"),
        ("#include <sys/time.h>", "no <sys/time.h>"),
        ('#include "getopt.h"', "no <getopt.h>"),
    ],
)
def test_what_msvc_does_not_is_refused_for_both_processors(text: str, word: str, tmp_path: Path) -> None:
    findings = findings_of(text, tmp_path)
    assert [finding.partition(":")[0] for finding in findings] == [f"snippet.c for {name}" for name in strict.PROCESSORS], findings
    assert all(word in finding for finding in findings), findings


@pytest.mark.parametrize("file", strict.shared(), ids=lambda file: file.name)
def test_the_shared_c(file: Path, tmp_path: Path) -> None:
    assert strict.with_clang("clang", [file], tmp_path) == []


def test_a_header_of_ours_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "beside.h").write_text("#include <dirent.h>\n")
    file = tmp_path / "snippet.c"
    file.write_text('#include "beside.h"\nint f(void);\n')
    findings = strict.with_clang("clang", [file], tmp_path)
    assert len(findings) == len(strict.PROCESSORS) and all("no <dirent.h>" in finding for finding in findings), findings


@pytest.mark.parametrize("language", strict.LANGUAGES)
def test_the_client_and_the_header_of_the_game(language: str, tmp_path: Path) -> None:
    assert strict.write_header(tmp_path)
    assert strict.with_clang("clang", [strict.client()], tmp_path, deprecated=False, language=language, more=[tmp_path]) == []


def test_the_native_tests(tmp_path: Path) -> None:
    assert strict.with_clang("clang", strict.native_tests(), tmp_path, deprecated=False) == []
