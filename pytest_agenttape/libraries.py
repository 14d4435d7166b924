"""Private names of other libraries: if a release no longer has one, the error names the library and its version.

Each name is used in one file, whose docstring lists it. That file checks for it once before use, not on each call.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

from pytest_agenttape.errors import AgentTapeError


@dataclass(frozen=True, slots=True)
class Library:
    """A library whose private names are used.

    Attributes:
        name: The name of its distribution.
        seen: The versions that have those names.
    """

    name: str
    seen: str

    def require(self, owner: object, *names: str) -> None:
        """Check that *owner*, a class or module of this library, has *names*.

        Raises:
            AgentTapeError: One is missing.
        """
        for name in names:
            if not hasattr(owner, name):
                raise self.lacks(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}")

    def lacks(self, name: str) -> AgentTapeError:
        """Return the error for a *name* that is missing."""
        return AgentTapeError(
            f"{self.name} {self._version()} has no {name}, which recording and replaying need; "
            f"install {self.name} {self.seen}, or a pytest-agenttape that supports this version"
        )

    def _version(self) -> str:
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return "(of unknown version)"
