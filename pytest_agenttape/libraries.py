"""Private names of other libraries: where a release has one no longer, the error names the library and its version.

Each is used in one file, whose docstring names it, and asked for there before it is used: once, not for each call.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from pytest_agenttape.errors import AgentTapeError


@dataclass(frozen=True, slots=True)
class Library:
    """A library of which private names are used.

    Attributes:
        name: What it is installed as.
        seen: The versions in which those names were seen.
    """

    name: str
    seen: str

    def require(self, owner: object, *names: str) -> None:
        """Make sure that *owner*, a class or module of this library, has *names*.

        Raises:
            AgentTapeError: One is missing.
        """
        for name in names:
            if not hasattr(owner, name):
                raise self.lacks(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}")

    def lacks(self, name: str) -> AgentTapeError:
        """Return the error for a *name* that is missing."""
        return AgentTapeError(
            f"{self.name} {self._version()} has no {name}, without which nothing can be recorded or replayed here; "
            f"install {self.name} {self.seen}, or a pytest-agenttape that knows this version"
        )

    def _version(self) -> str:
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return "(of unknown version)"
