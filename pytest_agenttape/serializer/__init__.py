"""Turns cassettes into YAML or JSON text and back; nothing else in the project knows these formats.

What is written is plain YAML that any parser reads. Text is a literal block or a plain scalar if that keeps every
character, else a double-quoted scalar. What stands more than once is written once, with an anchor (`sharing`). Two
things need a convention:

* A lone surrogate has no UTF-8 form, and YAML parsers refuse its escape. It is written as U+001A SUBSTITUTE and the
  four hexadecimal digits of the code unit, as in ``"\\x1AD800"``. A U+001A that happens to be followed by
  text of that form is written as U+001A ``001A``.
* Timestamps are read as strings, quoted or not; keys are always strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import FORMATS, JSON, unknown_name
from pytest_agenttape.serializer.document import MAX_DEPTH, TAG, Document
from pytest_agenttape.serializer.json_text import dump_json, load_json
from pytest_agenttape.serializer.sharing import said_once

__all__ = ["MAX_DEPTH", "TAG", "Document", "dump", "dump_yaml", "load", "said_once"]


_BOM = "\ufeff"
_CONFLICT = re.compile(rb"^(?:<{7}|>{7})(?: |\r?$)", re.MULTILINE)


def dump(
    cassette: Mapping[str, JSON],
    format: str = "yaml",  # noqa: A002  # the option's public name
    before: Mapping[str, JSON] = MappingProxyType({}),
) -> str:
    """Return the text of a cassette file; the same values always give the same text.

    Args:
        format: One of `FORMATS`.
        before: The anchors of the file that is rewritten: their names are kept.

    Raises:
        ConfigError: *format* is not one of `FORMATS`.
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value cannot be read back: nested too deeply, or a whole number too long for JSON.
    """
    if format == "yaml":
        from pytest_agenttape.serializer.yaml_writer import dump_shared  # imports yaml

        return dump_shared(dict(cassette), before)
    if format == "json":
        return dump_json(dict(cassette))
    raise unknown_name("format", format, FORMATS)


def dump_yaml(value: JSON) -> str:
    """Return any JSON-like value as a YAML document, without aliases.

    Raises:
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value cannot be read back.
    """
    from pytest_agenttape.serializer import yaml_writer  # imports yaml

    return yaml_writer.dump_yaml(value)


def load(
    data: bytes,
    *,
    format: str,  # noqa: A002  # the option's public name
    path: Path | None = None,
    tags: bool = False,
) -> Document:
    """Read the bytes of a cassette file.

    Args:
        format: One of `FORMATS`.
        path: The path that messages name.
        tags: Read the tags that other tools write: text, and ``!!binary`` as bytes; any other as a mapping with `TAG`.

    Raises:
        ConfigError: *format* is not one of `FORMATS`.
        CassetteCorruptError: The bytes are not a cassette; it says why, and on which line.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    try:
        text = _decode(data)
        if format == "json":
            return load_json(text)
        from pytest_agenttape.serializer.yaml_reader import load_yaml  # imports yaml

        return load_yaml(text, tags=tags)
    except CassetteCorruptError as error:
        problem, line = _conflict(data) or (error.problem, error.line)
        raise CassetteCorruptError(problem, path=path, line=line) from None


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CassetteCorruptError("is UTF-16; save it as UTF-8", line=1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CassetteCorruptError(f"is not UTF-8: byte 0x{data[error.start]:02X}", line=line) from None
    text = text.removeprefix(_BOM)
    if text.startswith("version https://git-lfs."):
        raise CassetteCorruptError("is a Git LFS pointer file; fetch the content: git lfs pull", line=1)
    if not text or text.isspace():
        raise CassetteCorruptError("is empty", line=1)
    return text


def _conflict(data: bytes) -> tuple[str, int] | None:
    """Return the message and the line of a merge conflict; None if there is none."""
    found = _CONFLICT.search(data)
    if found is None:
        return None
    problem = "has an unresolved merge conflict; keep one side whole, or record again with --agenttape-record"
    return problem, data.count(b"\n", 0, found.start()) + 1
