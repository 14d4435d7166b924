"""The cassettes that a command line asks for: found, read, and without the secrets that other tools keep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import pytest

from pytest_agenttape.cassettes import imported
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError, ConfigError
from pytest_agenttape.plugin import cassette_files
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.redaction import RedactionRules, Redactor


class AskedCassettes:
    """Finds and reads cassettes; what cannot be used is told on the *screen*, each on one line.

    Attributes:
        are_unusable: Whether one could not be used.
    """

    def __init__(self, config: pytest.Config, screen: Screen) -> None:
        self.are_unusable = False
        self._config, self._screen = config, screen
        self._root = config.invocation_params.dir
        self._pruned: Sequence[str] = config.getini("norecursedirs")

    def paths(self, names: Sequence[str]) -> list[Path]:
        """Return the files that *names* name, each once."""
        found: dict[Path, None] = {}
        for name in names:
            try:
                found |= dict.fromkeys(cassette_files.named_by(name, self._root, self._pruned))
            except AgentTapeError as error:
                self.refuse(error)
        return list(found)

    def has(self, name: str) -> bool:
        """Return whether *name* names a cassette, or several."""
        try:
            cassette_files.the_one(name, self._root, self._pruned)
        except CassetteNotFoundError:
            return False
        except ConfigError:
            return True
        return True

    def has_below(self, name: str) -> bool:
        """Return whether *name* is a folder with cassettes."""
        if not os.path.isdir(name):
            return False
        try:
            return bool(cassette_files.named_by(name, self._root, self._pruned))
        except CassetteNotFoundError:
            return False

    def below(self, folder: str) -> dict[PurePath, Cassette | None]:
        """Return all cassettes below *folder* by their paths in it; None for one that cannot be used."""
        found = cassette_files.named_by(folder, self._root, self._pruned)
        return {path.relative_to(folder): self.cassette(path) for path in found}

    def only(self, name: str) -> Cassette | None:
        """Return the one cassette that *name* names; None if it cannot be used."""
        try:
            path = cassette_files.the_one(name, self._root, self._pruned)
        except AgentTapeError as error:
            self.refuse(error)
            return None
        return self.cassette(path)

    def cassette(self, path: Path, *, name: str | None = None, place: Path | None = None) -> Cassette | None:
        """Return the cassette at *path*; None if it cannot be used.

        Args:
            name: What it is called in messages, if not by its path.
            place: Where it stands in the project, if it was taken out of that.
        """
        try:
            cassette = Cassette.load(path)
            if not imported.is_imported(cassette.interactions):
                return cassette  # what we record is redacted
            # Imported only here: most cassettes are ours.
            from pytest_agenttape.plugin.foreign_secrets import without_secrets

            return without_secrets(cassette, place or path, self._config)
        except AgentTapeError as error:
            self.refuse(error if name is None else AgentTapeError(str(error).replace(str(path), name)))
            return None

    def refuse(self, error: AgentTapeError) -> None:
        """Tell why a cassette cannot be used."""
        self.are_unusable = True
        # A message about a damaged file may quote it.
        self._screen.write_problem(Redactor(RedactionRules(), os.environ).text(str(error)))
