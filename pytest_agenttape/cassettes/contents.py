"""The content of a cassette, from and to its file form. Knows nothing of disks, encodings or assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pytest_agenttape.cassettes.file_form import unfiled
from pytest_agenttape.errors import CassetteCorruptError, SchemaVersionError
from pytest_agenttape.model import JSON, SCHEMA_VERSION, Interaction, require_list, require_mapping


@dataclass(kw_only=True)
class Contents:
    """The fields of a cassette: all that reading and writing need. Users see it as a `Cassette`."""

    version: str = SCHEMA_VERSION
    created_at: str = ""
    run_id: str = ""
    meta: dict[str, JSON] = field(default_factory=dict)
    interactions: list[Interaction] = field(default_factory=list)

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON]) -> Self:
        """Build a cassette from its file form.

        Raises:
            SchemaVersionError: The version is not one that this release reads.
            CassetteCorruptError: A key is missing or of the wrong type.
        """
        require_mapping(raw, "a cassette")
        if "version" not in raw:
            raise CassetteCorruptError("'version' is missing; is this a cassette?")
        version = str(raw["version"])
        if version != SCHEMA_VERSION:
            raise SchemaVersionError(
                f"schema version {version!r} is not supported (this release reads {SCHEMA_VERSION!r}); "
                "upgrade pytest-agenttape or record again with --agenttape-record"
            )
        if "interactions" not in raw:
            raise CassetteCorruptError("'interactions' is missing; is this a cassette?")
        listed = require_list(raw["interactions"] or [], "'interactions'")
        interactions = [Interaction.from_dict(unfiled(each)) for each in listed]
        if len({each.index for each in interactions}) < len(interactions):
            raise CassetteCorruptError("two interactions have the same 'index'")
        return cls(
            version=version,
            created_at=str(raw.get("created_at") or ""),
            run_id=str(raw.get("run_id") or ""),
            meta=dict(require_mapping(raw.get("meta") or {}, "'meta'")),
            interactions=interactions,
        )

    def to_dict(self) -> dict[str, JSON]:
        """Return the cassette as plain values; a file has them in a form that is shorter to read (`file_form`)."""
        return {
            "version": self.version,
            "created_at": self.created_at,
            "run_id": self.run_id,
            "meta": self.meta,
            "interactions": [each.to_dict() for each in self.interactions],
        }
