"""The win_amd64 wheel: the project's own packages and metadata around a cross-compiled extension.

This file is run by the Python of the tool's venv, which has Cython and setuptools:

    python -m winetool.wheel PROJECT BUILD_FOLDER HEADERS WINDOWS_PYTHON OUTPUT_FOLDER

Of setup.py it needs one function, `extension_arguments(platform)`, and takes the rest (packages, data files, entry
points, version) from setuptools, which reads pyproject.toml and setup.py as for any other wheel. Only the step that
would call a C compiler is replaced. Nothing is written into the checkout but the wheel.
"""

from __future__ import annotations

import os
import runpy
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import Cython
import Cython.Build
from setuptools import Distribution, Extension, SetuptoolsDeprecationWarning
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

# run_setup reads setup.py without building; setuptools carries the only distutils there is from Python 3.12 on.
from distutils.core import run_setup  # isort: skip

from toolkit.message import ToolError, step

from . import compiler

EXTENSION = "iocp._iocpcore"
MAIN_SOURCE = "src/_iocpcore.pyx"
TAG = ("cp311", "cp311", "win_amd64")
CYTHON_SUFFIXES = (".pyx", ".pxi", ".pxd")


def make(project: Path, build: Path, headers: Path, python: Path, output: Path) -> Path:
    os.chdir(project)
    # For a setup.py that wants to know; the tool itself does not depend on it being read.
    os.environ["PYIOCP_CROSS"] = "mingw"
    # Equal sources give an equal wheel, which then need not be installed again.
    os.environ.setdefault("SOURCE_DATE_EPOCH", "946684800")
    sys.path.insert(0, str(project))

    names = _setup_names(project)
    arguments = names["extension_arguments"]("win32")
    with step("cython"):
        generated = _cythonize(names, arguments, build)
    recipe = _recipe(arguments, generated)
    module = build / "module" / f"{EXTENSION.rpartition('.')[2]}.{TAG[1]}-{TAG[2]}.pyd"
    with step(f"compile and link {module.name}"):
        count, said = compiler.build(recipe, module, python, headers, build / "objects")
    if said.strip():
        print(said, file=sys.stderr, flush=True)
    with step(f"wheel ({count} C files compiled, {len(recipe.sources) - count} unchanged)"):
        return _pack(project, build, module, output)


def _setup_names(project: Path) -> dict[str, Any]:
    script = project / "setup.py"
    if not script.exists():
        raise ToolError(f"there is no {script}")
    names = runpy.run_path(str(script), run_name="setup")
    if not callable(names.get("extension_arguments")):
        raise ToolError(
            "setup.py has no function extension_arguments(platform); it has to return the keywords of setuptools.Extension\n"
            "for 'win32' or 'linux' (sources, include_dirs, define_macros, libraries, ...), and to call setup() only under\n"
            'if __name__ == "__main__".'
        )
    return names


def _cythonize(names: dict[str, Any], arguments: dict[str, Any], build: Path) -> dict[str, Path]:
    """Cython sources of the extension, each with the C file made from it."""
    sources = [name for name in arguments["sources"] if name.endswith(".pyx")]
    options = dict(names.get("cython_arguments") or {})
    key_parts: list[bytes] = [
        Cython.__version__.encode(),
        repr(sorted(options.items(), key=str)).encode(),
        repr(sources).encode(),
    ]
    for path in sorted(path for path in Path("src").rglob("*") if path.suffix in CYTHON_SUFFIXES):
        key_parts += [str(path).encode(), path.read_bytes()]
    key = compiler.digest(key_parts).hex()
    stamp = build / "c" / "stamp"
    made = {name: build / "c" / Path(name).with_suffix(".c") for name in sources}
    if stamp.exists() and stamp.read_text() == key and all(path.exists() for path in made.values()):
        return made
    # Only after success is the stamp written, so a syntax error is shown again next time.
    stamp.unlink(missing_ok=True)
    options.setdefault("language_level", 3)
    options.setdefault("include_path", ["src"])
    options |= {"build_dir": str(build / "c"), "force": True, "quiet": True}
    Cython.Build.cythonize([Extension(EXTENSION, sources)], **options)
    stamp.write_text(key)
    return made


def _recipe(arguments: dict[str, Any], generated: dict[str, Path]) -> compiler.Recipe:
    project = Path.cwd()
    headers = [path for folder in ("src", *arguments.get("include_dirs", ())) for path in Path(folder).rglob("*.h")]
    return compiler.Recipe(
        sources=[generated.get(name) or project / name for name in arguments["sources"]],
        generated=set(generated.values()),
        # The generated C lies elsewhere, so quoted includes need the folder of the .pyx too.
        include_dirs=[
            str(project / name) for name in (*arguments.get("include_dirs", ()), *{Path(n).parent for n in generated})
        ],
        macros=list(arguments.get("define_macros", ())),
        library_dirs=[str(project / name) for name in arguments.get("library_dirs", ())],
        libraries=list(arguments.get("libraries", ())),
        compile_arguments=list(arguments.get("extra_compile_args", ())),
        link_arguments=list(arguments.get("extra_link_args", ())),
        headers=[*headers, *(Path(name) for name in arguments.get("depends", ()) if Path(name).is_file())],
    )


def _pack(project: Path, build: Path, module: Path, output: Path) -> Path:
    class PlaceExtension(build_ext):
        """The module is made already: put it where a compiled one would have been left."""

        def run(self) -> None:
            target = Path(self.build_lib, *EXTENSION.split(".")[:-1], module.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, target)

        def get_outputs(self) -> list[str]:
            return [str(Path(self.build_lib, *EXTENSION.split(".")[:-1], module.name))]

    class WindowsWheel(bdist_wheel):
        def get_tag(self) -> tuple[str, str, str]:
            return TAG

    staging = build / "staging"
    shutil.rmtree(staging, ignore_errors=True)  # a module deleted from the project must not live on in here
    for name in ("lib", "temp", "bdist", "egg"):
        (staging / name).mkdir(parents=True)
    distribution = _distribution(project)
    distribution.ext_modules = [Extension(EXTENSION, [MAIN_SOURCE])]
    distribution.cmdclass.update(build_ext=PlaceExtension, bdist_wheel=WindowsWheel)
    for command, settings in {
        "build": {"build_base": "temp", "build_lib": "lib", "build_temp": "temp"},
        "bdist": {"bdist_base": "bdist"},
        "egg_info": {"egg_base": "egg"},
    }.items():
        options = distribution.get_option_dict(command)
        options.update({name: ("wine.py", str(staging / value)) for name, value in settings.items()})
    output.mkdir(exist_ok=True)
    before = set(output.glob("*.whl"))
    # bdist_wheel itself calls the `install` command whose direct use it warns of.
    warnings.filterwarnings("ignore", message="setup.py install is deprecated", category=SetuptoolsDeprecationWarning)
    distribution.script_args = ["-q", "bdist_wheel", "--dist-dir", str(staging / "dist")]
    distribution.parse_command_line()
    distribution.run_commands()
    (wheel,) = (staging / "dist").glob("*.whl")
    for old in before:
        old.unlink()  # a wheel of another version would be the one installed by `dist-wine/*.whl`
    return Path(shutil.copy(wheel, output / wheel.name))


def _distribution(project: Path) -> Distribution:
    """What setup() was called with plus pyproject.toml, without running any command."""
    translate = Cython.Build.cythonize
    # setup.py would translate everything for Linux here, into the checkout.
    Cython.Build.cythonize = lambda module_list, *_, **__: list(module_list)
    try:
        distribution = run_setup(str(project / "setup.py"), script_args=[], stop_after="config")
    finally:
        Cython.Build.cythonize = translate
    return distribution


def main(words: list[str]) -> int:
    project, build, headers, python, output = (Path(word) for word in words)
    try:
        print(make(project, build, headers, python, output))
    except ToolError as error:
        print(f"wine.py: {error}", file=sys.stderr)
        return 1
    except Cython.Compiler.Errors.CompileError:
        return 1  # Cython has shown the place already
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
