"""The units of the Windows tool's cache folder."""

from __future__ import annotations

from pathlib import Path

from toolkit.cache import Cache, cache_folder


class Home(Cache):
    tool = "wine.py"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.venv = root / "venv"
        self.source = root / "source"
        self.prefix = root / "prefix"
        self.python = root / "python"

    @classmethod
    def default(cls) -> Home:
        return cls(cache_folder("PYIOCP_WINE_HOME", "pyiocp-wine"))

    @property
    def venv_python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def windows_python(self) -> Path:
        return self.python / "python.exe"
