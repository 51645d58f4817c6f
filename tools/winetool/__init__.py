"""The Windows build on a Linux machine: cross-compiled with mingw, run and tested under Wine.

Reading order:

    home.py         the cache folder: stamped units, the lock, one progress line per step
    debian.py       what comes from Debian: wine, mingw, the CPython source archive
    interpreter.py  the official Windows CPython, put together without an installer
    recipe.py       the units in their order, and the check that the result runs
    compiler.py     C to a .pyd with mingw, recompiling only what changed
    wheel.py        the project's own metadata and packages around that .pyd (runs in the tool's venv)
    session.py      one program under Wine: streams, console, time-out, clean-up
    suite.py        pip install of the wheel, then pytest over the project's tests

``../wine.py`` is the command line.
"""
