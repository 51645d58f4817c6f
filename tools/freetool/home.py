"""The units of the free-threaded tool's cache folder."""

from __future__ import annotations

from pathlib import Path

from toolkit.cache import Cache, cache_folder


class Home(Cache):
    """Two interpreters share `source` and `packages`: the plain one and, with `tsan`, the one made with ThreadSanitizer."""

    tool = "freethreaded.py"

    def __init__(self, root: Path, *, tsan: bool = False) -> None:
        super().__init__(root)
        kind = "-tsan" if tsan else ""
        self.tsan = tsan
        self.source = root / "source"
        self.objects = root / f"objects{kind}"  # of the compiler; no unit, since make goes on where it was interrupted
        self.python = root / f"python{kind}"
        self.packages = root / "packages"

    @classmethod
    def default(cls, *, tsan: bool = False) -> Home:
        return cls(cache_folder("PYIOCP_FREETHREADED_HOME", "pyiocp-freethreaded"), tsan=tsan)

    @property
    def interpreter(self) -> Path:
        return self.python / "bin" / "python3"

    def site(self, project: Path) -> Path:
        """Where the build of `project` is installed."""
        return self.build_folder(project) / ("site-tsan" if self.tsan else "site")
