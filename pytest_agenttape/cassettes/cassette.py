"""`Cassette`, one recorded run: loaded, saved, redacted by name, summed up."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote_plus

from pytest_agenttape.cassettes import reading, writing
from pytest_agenttape.cassettes.contents import Contents
from pytest_agenttape.cassettes.imported import is_imported
from pytest_agenttape.cassettes.imported.redacting import redacted
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import FORMATS, JSON, REDACTION_PLACEHOLDER, FormatName, unknown_name
from pytest_agenttape.reading.usage import TokenTotals, duration_of, total_tokens
from pytest_agenttape.redaction import RedactionRules, Redactor, placeholders_in
from pytest_agenttape.settings.config import Config

_ADVICE = "take it out before: Cassette.redact(key), or record again"


@dataclass(kw_only=True)
class Cassette(Contents):
    """One recorded run: what is in a cassette file.

    Attributes:
        version: Schema version, ``"1"``.
        created_at: ISO 8601 time of the recording's start, UTC.
        run_id: Identifies the recording run.
        meta: Facts about the run: ``freeze`` values, ``env`` snapshot.
        interactions: In the order in which the calls started.
    """

    @classmethod
    def load(cls, path: str | Path) -> Cassette:
        """Read the cassette at *path*; cassettes of other tools are translated. Each call has its own values.

        Raises:
            CassetteNotFoundError: There is no such file.
            CassetteCorruptError: The file cannot be read as a cassette; the message says where and why.
            ConfigError: *path* is not a path.
        """
        if not isinstance(path, str | os.PathLike):
            raise ConfigError(f"Cassette.load takes a path, not {path!r}")
        loaded = load_with_lines(Path(path))[0]
        return replace(loaded, interactions=[each.copy() for each in loaded.interactions])

    def save(self, path: str | Path, *, format: FormatName | None = None) -> bool:  # noqa: A002  # the option's public name
        """Write to *path* whole or not at all; return whether the file changed.

        Recordings of another tool are redacted as if they had been recorded here.

        Raises:
            ConfigError: *format* is unknown.
            RecordingRefusedError: It holds a secret, does not read back equal, or the disk refuses; the old file is
                intact.
        """
        if format is not None and format not in FORMATS:
            raise unknown_name("format", format, FORMATS)
        redactor = Redactor(RedactionRules.of(Config.load().redact), os.environ, taken=[repr(self)])
        safe = redacted(self, redactor) if is_imported(self.interactions) else self
        return writing.save(safe, Path(path), format=format, scan=redactor.scan, advice=_ADVICE)

    def redact(self, key: str, replacement: str = REDACTION_PLACEHOLDER) -> Self:
        """Replace every value stored under *key*, at any depth; return the cassette.

        JSON inside texts and the parameters of URLs are included; the names of headers match in any case.
        """
        if not isinstance(key, str) or not key:
            raise ConfigError(f"Cassette.redact takes a key, which must be a non-empty string; found {key!r}")
        listed = self.meta.get("redacted")
        self.meta = _replaced({name: each for name, each in self.meta.items() if name != "redacted"}, key, replacement)
        if isinstance(listed, list):
            self.meta["redacted"] = list(dict.fromkeys([*listed, *placeholders_in(replacement)]))
        self.interactions = [
            replace(
                each,
                request=_replaced(each.request, key, replacement),
                response=_replaced(each.response, key, replacement),
                error=_replaced(each.error, key, replacement),
                metadata=_replaced(each.metadata, key, replacement),
            )
            for each in self.interactions
        ]
        return self

    @property
    def num_steps(self) -> int:
        """The number of interactions."""
        return len(self.interactions)

    @property
    def usage(self) -> TokenTotals:
        """The tokens of all calls: from usage blocks, else estimated (see `reading.usage.count_tokens`)."""
        return total_tokens(self.interactions)

    @property
    def total_input_tokens(self) -> int:
        """Tokens sent to models."""
        return self.usage.input_tokens

    @property
    def total_output_tokens(self) -> int:
        """Tokens in the models' answers."""
        return self.usage.output_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return self.usage.total_tokens

    @property
    def duration_ms(self) -> float:
        """The sum of the latencies of calls that no other call contains, in milliseconds."""
        return duration_of(self.interactions) or 0.0


def load_with_lines(path: Path) -> tuple[Cassette, tuple[int, ...]]:
    """Return the cassette at *path* and the line on which each of its interactions starts.

    What stands in the file once is one object, in however many calls it is: it is only to be looked at.

    Raises:
        CassetteNotFoundError: There is no such file.
        CassetteCorruptError: The file cannot be read as a cassette; the message says where and why.
    """
    contents, lines = reading.read(path)
    return Cassette(**vars(contents)), lines


def _replaced(node: JSON, key: str, replacement: str) -> JSON:
    if isinstance(node, dict):
        if node.get("$type") == "dict" and isinstance(node.get("items"), list):  # its keys are not all text
            pairs = [[key, replacement] if each[:1] == [key] else each for each in node["items"]]
            return {"$type": "dict", "items": [_replaced(each, key, replacement) for each in pairs]}
        return {name: _replaced_member(name, each, key, replacement) for name, each in node.items()}
    if isinstance(node, list):
        return [_replaced(each, key, replacement) for each in node]
    if isinstance(node, str) and key in node and node.lstrip()[:1] in ("{", "["):
        return _replaced_in_text(node, key, replacement)
    return node


def _replaced_member(name: str, value: JSON, key: str, replacement: str) -> JSON:
    if name == key:
        return replacement
    if name == "url" and isinstance(value, str):
        return _replaced_in_url(value, key, replacement)
    if name == "headers" and isinstance(value, dict):
        return {
            each: replacement if each.lower() == key.lower() else _replaced(content, key, replacement)
            for each, content in value.items()
        }
    return _replaced(value, key, replacement)


def _replaced_in_url(url: str, key: str, replacement: str) -> str:
    address, mark, query = url.partition("?")
    parameters = [
        f"{name}={quote(str(replacement), safe='*')}" if sign and unquote_plus(name) == key else f"{name}{sign}{value}"
        for name, sign, value in (each.partition("=") for each in query.split("&"))
    ]
    return f"{address}{mark}{'&'.join(parameters)}"


def _replaced_in_text(text: str, key: str, replacement: str) -> str:
    try:
        decoded = json.loads(text)
    except ValueError:
        return text
    changed = _replaced(decoded, key, replacement)
    return text if changed == decoded else json.dumps(changed, ensure_ascii=False)
