"""What a cassette says about the placeholders in it: which there are, and what the secrets in answers looked like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.delivery import is_about_delivery
from pytest_agenttape.redaction import placeholders_in
from pytest_agenttape.redaction.look_alikes import by_shape, is_dressed, shapes_of
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.secrets import Secrets


class Listing:
    """Finds the placeholders of interactions; each of these is looked through once."""

    def __init__(self, loaded: Loaded, secrets: Secrets) -> None:
        self._loaded = loaded
        self._secrets = secrets
        self._spelled: dict[int, tuple[Interaction, list[str], set[str]]] = {}  # in all of it, and in its answer

    def of(self, interactions: Sequence[Interaction], before: Mapping[str, JSON]) -> dict[str, JSON]:
        """Return the facts for the `meta` of a cassette that had *before* for it."""
        known, found, answered = self._loaded.rules.placeholders, set[str](), set[str]()
        were = before.get("redacted")
        if known is not None and isinstance(were, list):
            known = known | {str(each) for each in were}
        for each in interactions:
            if id(each) not in self._spelled:
                spelled = placeholders_in(repr(each))
                self._spelled[id(each)] = each, spelled, set(_in_answer(each) if spelled else ())
            found.update(self._spelled[id(each)][1])
            answered |= self._spelled[id(each)][2]
        listed = sorted(found if known is None else found & known)
        answered &= set(listed)
        shapes = self._shapes_of(sorted(answered), interactions, before) if answered else {}
        return {"redacted": listed, **({"shapes": shapes} if shapes else {})}

    def _shapes_of(
        self, placeholders: Sequence[str], interactions: Sequence[Interaction], before: Mapping[str, JSON]
    ) -> dict[str, JSON]:
        """Return what *placeholders* look like."""
        texts = cache(lambda: [repr(each) for each in interactions])

        def is_told(text: str) -> bool:
            whole = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
            return any(text in each and whole.search(each) for each in texts())

        redactor = self._secrets.redactor
        new, old = redactor.shapes(is_told), {**shapes_of(self._loaded.meta), **shapes_of(before)}
        looks = {each: new.get(each[-4:]) or old.get(each) for each in placeholders}
        # A pattern of the user's may find a shape; then it must not be written.
        return by_shape({each: shape for each, shape in looks.items() if shape and not redactor.scan(shape)})


def _in_answer(recorded: Interaction) -> Iterator[str]:
    """Yield the placeholders that a replay hands out to somebody who may read them."""
    if not is_dressed(recorded.request):
        return
    response = recorded.response
    if isinstance(response, dict) and isinstance(response.get("headers"), dict):
        headers = {name: each for name, each in response["headers"].items() if not is_about_delivery(str(name), each)}
        response = {**response, "headers": headers}
    yield from placeholders_in(repr((response, recorded.error, recorded.metadata)))
