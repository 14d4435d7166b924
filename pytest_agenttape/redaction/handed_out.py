"""Stand-ins of secrets that somebody was given, and the search for them in what he sends."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Generic, TypeVar

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction.documents import unpacked
from pytest_agenttape.redaction.known import KnownSecrets

_Giver = TypeVar("_Giver")


class HandedOut(Generic[_Giver]):
    """The stand-ins that were handed out, with who gave each first; they are found in every form."""

    def __init__(self) -> None:
        self._givers: dict[str, tuple[str, _Giver]] = {}  # by spelling
        self._known = KnownSecrets()

    def note(self, stand_in: str, giver: _Giver) -> None:
        """Note that *giver* has handed out *stand_in*."""
        for spelled in (stand_in, stand_in.lower(), stand_in.upper()):
            if spelled not in self._givers:
                self._givers[spelled] = stand_in, giver
                self._known.learn(spelled)

    def __bool__(self) -> bool:
        return bool(self._givers)

    def find(self, sent: JSON) -> tuple[str, _Giver] | None:
        """Return a stand-in that the stored request *sent* holds, and who gave it; None if there is none."""
        if not self._givers:
            return None
        found = ((each, text) for text in _texts(sent) for each in self._known.in_text(text))
        needle = next((each for each, text in found if _is_whole(each.text, text)), None)
        return None if needle is None else self._givers[needle.secret]


def _is_whole(form: str, text: str) -> bool:
    """Return whether *form* stands in *text* by itself: a few digits may be a part of any number."""
    return not form.isdigit() or re.search(rf"(?<![0-9]){form}(?![0-9])", text) is not None


def _texts(sent: JSON) -> Iterator[str]:
    """Yield a stored request as text, and the bytes of its body: as they are, and if they are compressed, unpacked."""
    yield repr(sent)
    encoded = sent.get("body_b64") if isinstance(sent, dict) else None
    if isinstance(encoded, str):
        raw = base64.b64decode(encoded)
        yield raw.decode("latin-1")  # in which UTF-16 can be read
        yield (unpacked(raw)[0] or b"").decode("latin-1")
