"""Large bodies of an exchange: replacing them by references in the cassette, and back. No file is touched here.

A body over the threshold becomes ``text_asset: {file, bytes}`` instead of ``text``, or ``body_asset`` instead of
``body_b64``. The file is named after the digest of its content.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

TEXT, BINARY = "text_asset", "body_asset"
_INLINE = {TEXT: "text", BINARY: "body_b64"}
_KINDS = ("llm", "http")
_SIDES = ("request", "response")
_DIGEST_DIGITS = 32
_FILE = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,5}")

# Lets a reviewer's tools open the file; anything else is .txt or .bin.
_EXTENSIONS = {
    "application/pdf": "pdf",
    "application/zip": "zip",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/xml": "xml",
    "application/xml": "xml",
    "video/mp4": "mp4",
}


def move_out(root: dict[str, JSON], threshold: int) -> tuple[dict[str, JSON], dict[str, bytes]]:
    """Return *root* with bodies larger than *threshold* bytes replaced by references, and the files for them."""
    files: dict[str, bytes] = {}
    listed = [_each_body(each, lambda body: _referring(body, threshold, files)) for each in root["interactions"]]
    return {**root, "interactions": listed}, files


def move_in(interaction: JSON, read: Callable[[str], bytes]) -> JSON:
    """Return *interaction* with its references replaced by what *read* returns for their files.

    Raises:
        CassetteCorruptError: A reference is not one of ours, or its file differs from what was recorded.
    """
    return _each_body(interaction, lambda body: _inlined(body, read))


def is_asset_name(name: str) -> bool:
    """Return whether *name* is the name of a file that a save wrote."""
    return _FILE.fullmatch(name) is not None


def referenced(root: JSON) -> frozenset[str]:
    """Return the names of all files that *root* refers to."""
    interactions = root.get("interactions") if isinstance(root, dict) else None
    found = set()
    for interaction in interactions if isinstance(interactions, list) else ():
        for _, body in _bodies(interaction):
            for key in (TEXT, BINARY):
                reference = body.get(key)
                if isinstance(reference, dict):
                    found.add(str(reference.get("file")))
    return frozenset(found)


def _bodies(interaction: JSON) -> Iterator[tuple[str, dict[str, JSON]]]:
    if isinstance(interaction, dict) and interaction.get("kind") in _KINDS:
        for side in _SIDES:
            body = interaction.get(side)
            if isinstance(body, dict):
                yield side, body


def _each_body(interaction: JSON, change: Callable[[dict[str, JSON]], dict[str, JSON]]) -> JSON:
    changed = {side: new for side, body in _bodies(interaction) if (new := change(body)) is not body}
    return {**interaction, **changed} if changed else interaction


def _referring(body: dict[str, JSON], threshold: int, files: dict[str, bytes]) -> dict[str, JSON]:
    for key, form in _INLINE.items():
        content = _content(key, body.get(form))
        if content is not None and len(content) > threshold:
            name = f"{_digest(content)}.{_extension(body, key)}"
            files[name] = content
            reference = {"file": name, "bytes": len(content)}
            return {key if each == form else each: reference if each == form else body[each] for each in body}
    return body


def _content(key: str, stored: JSON) -> bytes | None:
    """Return the bytes of a stored body, or None if they would not restore it exactly."""
    if not isinstance(stored, str):
        return None
    try:
        if key == TEXT:
            return stored.encode("utf-8")
        content = base64.b64decode(stored, validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        return None
    return content if base64.b64encode(content).decode("ascii") == stored else None


def _extension(body: dict[str, JSON], key: str) -> str:
    headers = body.get("headers")
    sent = next((v for k, v in headers.items() if k.lower() == "content-type"), "") if isinstance(headers, dict) else ""
    known = _EXTENSIONS.get(str(sent).partition(";")[0].strip().lower())
    return known or ("txt" if key == TEXT else "bin")


def _inlined(body: dict[str, JSON], read: Callable[[str], bytes]) -> dict[str, JSON]:
    for key, form in _INLINE.items():
        if key in body:
            stored = _stored(key, _checked(key, body[key], read))
            return {form if each == key else each: stored if each == key else body[each] for each in body}
    return body


def _checked(key: str, reference: JSON, read: Callable[[str], bytes]) -> bytes:
    name = reference.get("file") if isinstance(reference, dict) else None
    if not isinstance(name, str) or not is_asset_name(name):  # also stops a path that leaves the folder
        raise CassetteCorruptError(f"{key}: {name!r} is not the name of an asset")
    content = read(name)
    if not name.startswith(_digest(content)) or reference.get("bytes") != len(content):
        raise CassetteCorruptError(
            f"asset {name} differs from what was recorded ({len(content)} bytes, {reference.get('bytes')} recorded); "
            "restore it from version control (automatic conversion of line endings also causes this) or record again"
        )
    return content


def _stored(key: str, content: bytes) -> str:
    if key == BINARY:
        return base64.b64encode(content).decode("ascii")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CassetteCorruptError(f"{key}: the asset is not text: {error}") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]
