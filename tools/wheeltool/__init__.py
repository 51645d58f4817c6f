"""Source distribution and wheels: made, looked into, and tested where nothing else is.

Reading order:

    places.py       folders, other Pythons, the environment with the packaging tools, one command run
    sdist.py        the source distribution, compared with git file by file
    wheel.py        wheels from that sdist, and auditwheel's verdict on them
    suite.py        the sdist's own tests against an installed wheel, from an empty folder
    strict.py       the C that Windows shares, held to what MSVC understands
    check.py        workflows, cibuildwheel's identifiers, and whether a tag may be released

``../wheels.py`` is the command line.
"""
