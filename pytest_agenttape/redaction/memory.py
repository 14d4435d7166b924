"""What the redaction of one cassette remembers: secrets known, placeholders given, and what was found clean.

Cassettes with the same rules and the same secrets in the environment begin with what the ones before have found clean.
Nothing else in this package changes while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.redaction import names, shapes
from pytest_agenttape.redaction.known import SHORTEST, KnownSecrets, is_worth_knowing
from pytest_agenttape.redaction.names import Rule
from pytest_agenttape.redaction.placeholders import Placeholders
from pytest_agenttape.redaction.rules import RedactionRules

_MOST_TEXTS = 4_096  # clean texts and plain keys that are remembered
_LONGEST_TEXT = 262_144  # characters of one; while its cassette is open, the call that has it is kept anyway
_MOST_PASSED_ON = 4_000_000  # characters of all that another cassette begins with
# Values found by name and then looked for elsewhere: bounded, or a long recording would get slower and slower.
_MOST_FOUND_BY_NAME = 256
_SHORTEST_TOKEN = 16

_Shape = TypeVar("_Shape")


class _Start:
    """What cassettes begin with that have the same rules, and know the same secrets of the environment.

    Attributes:
        known: These secrets; nobody learns more here.
        scalars: What can be none of them.
        texts: Texts that hold none of them, and nothing else that the rules find.
        keys: Likewise, of mappings.
    """

    __slots__ = ("_room", "keys", "known", "scalars", "texts")

    def __init__(self, known: KnownSecrets, scalars: frozenset[type]) -> None:
        self.known, self.scalars = known, scalars
        self.texts: set[str] = set()
        self.keys: set[str] = set()
        self._room = _MOST_PASSED_ON

    def add_text(self, text: str) -> None:
        """Pass on that *text* is clean, as long as there is room."""
        if len(text) <= self._room and len(self.texts) < _MOST_TEXTS:
            self._room -= len(text)
            self.texts.add(text)


@lru_cache(maxsize=4)
def _start(rules: RedactionRules, secrets: tuple[str, ...]) -> _Start:
    memory = Memory(rules)
    for each in secrets:
        memory.learn(each)
    return _Start(memory.known, memory.scalars)


class Memory:
    """The state that all rules share: one for a whole cassette, so there is one numbering."""

    __slots__ = (
        "_allowed", "_denied", "_environment", "_rules", "_start", "clean_texts", "headers", "known", "patterns",
        "placeholders", "plain_keys", "redacts_emails", "scalars", "urls",
    )  # fmt: skip

    def __init__(self, rules: RedactionRules, taken: Iterable[str] = (), issued: set[str] | None = None) -> None:
        self._rules = rules
        self._environment: tuple[str, ...] = ()
        self._start: _Start | None = None  # while nothing is known but the secrets of the environment
        self.placeholders = Placeholders(rules.placeholder, taken, issued)
        self.known = KnownSecrets()
        self.patterns = rules.patterns
        self.redacts_emails = rules.redact_emails
        self._allowed = rules.allowed
        self._denied = frozenset(map(names.folded, rules.denylist))
        self.headers: dict[tuple[str, str], str] = {}  # by name and value
        self.urls: dict[str, str] = {}
        self.clean_texts: set[str] = set()
        self.plain_keys: set[str] = set()
        self.scalars: frozenset[type] = frozenset((int, float, bool, type(None)))  # what can be no secret

    def is_denied(self, name: str) -> bool:
        """Return whether the user's denylist has *name*."""
        return bool(self._denied) and names.folded(name) in self._denied

    def is_allowed(self, text: str) -> bool:
        """Return whether the user said that *text* is no secret."""
        return bool(self._allowed) and any(each.is_all_of(text) for each in self._allowed)

    def stays(self, found: str) -> bool:
        """Return whether what was *found* is no secret: a placeholder, or allowed by the user."""
        return self.placeholders.is_settled(found) or self.is_allowed(found)

    def rule_of(self, name: str, rule: Callable[[str], Rule]) -> Rule:
        """Return what *name* says about its value: what the denylist says, else the built-in *rule*."""
        if self._denied and names.folded(name) in self._denied:
            return Rule.ALWAYS
        return rule(name)

    @property
    def shortest_key(self) -> int:
        """The length below which a key cannot hold a secret."""
        return SHORTEST if self.known.unrun or self.patterns or self.redacts_emails else _SHORTEST_TOKEN

    def know_environment(self, secrets: Iterable[str]) -> None:
        """Redact *secrets*, which the environment holds, wherever they appear from now on."""
        if self._start is None and len(self.known):  # others are known as well
            for each in secrets:
                self.learn(each)
            return
        self._environment = tuple(dict.fromkeys((*self._environment, *secrets)))
        start = _start(self._rules, self._environment)
        self.known, self.scalars = start.known.copy(), start.scalars
        self.clean_texts, self.plain_keys = start.texts.copy(), start.keys.copy()
        self.headers, self.urls = {}, {}
        self._start = start  # last: another thread may note what it found in those before

    def note_clean_text(self, text: str, clean_texts: set[str]) -> None:
        """Remember that *text* holds no secret that was known when *clean_texts* were our own."""
        start = self._start
        if len(text) <= _LONGEST_TEXT and len(clean_texts) < _MOST_TEXTS and clean_texts is self.clean_texts:
            clean_texts.add(text)
            if start is not None:
                start.add_text(text)

    def note_plain_key(self, key: str, plain_keys: set[str]) -> None:
        """Remember that *key* holds no secret that was known when *plain_keys* were our own, and means nothing."""
        start = self._start
        if len(plain_keys) < _MOST_TEXTS and plain_keys is self.plain_keys:
            plain_keys.add(key)
            if start is not None and len(key) <= _LONGEST_TEXT and len(start.keys) < _MOST_TEXTS:
                start.keys.add(key)

    def learn(self, secret: str) -> None:
        """Redact *secret*, a credential that was seen, wherever it appears from now on."""
        is_new = len(secret) >= SHORTEST and secret not in self.known and not self.placeholders.is_part(secret)
        if is_new and not self.is_allowed(secret):
            self._look_for(secret)

    def recognise(self, look_alike: str, stands_for: str) -> None:
        """Take *look_alike* for the placeholder that it *stands_for*, wherever its secret would have been found."""
        if look_alike not in self.placeholders.looks:
            self.placeholders.recognise(look_alike, stands_for)
            if self.has_room and is_worth_knowing(look_alike):
                self._look_for(look_alike)

    def _look_for(self, secret: str) -> None:
        self.known.learn(secret)
        self._start = None
        if secret.isdigit():
            self.scalars -= {int}
        # What was clean may hold the new one; and to new sets no other thread adds what it found in those before.
        self.headers, self.urls = {}, {}
        self.clean_texts, self.plain_keys = set(), set()

    def replaced(self, secret: str) -> str:
        """Return the stand-in of *secret*; a blank text or a placeholder stays."""
        if not secret.strip() or self.stays(secret):
            return secret
        return self.placeholders.stand_in(secret)

    def learned(self, secret: str) -> str:
        """Return the stand-in of a credential, which is known from now on if nothing else is spelled like it."""
        if is_worth_knowing(secret.strip()):
            self.learn(secret.strip())
        return self.replaced(secret)

    def named(self, secret: str) -> str:
        """Return the stand-in of a value found by its name, which is known from now on if nobody chose it."""
        if self.stays(secret):
            return secret
        if shapes.is_machine_made(secret) and self.has_room:
            self.learn(secret)
        return self.replaced(secret)

    @property
    def has_room(self) -> bool:
        """Whether a value found by its name may be learned."""
        return len(self.known) < _MOST_FOUND_BY_NAME

    def until_known(self, redact: Callable[[_Shape], _Shape], value: _Shape) -> _Shape:
        """Redact *value* again when a secret was learned on the way: it may also occur further up."""
        try:
            while True:
                before, known = value, len(self.known)
                value = redact(value)
                if value is before or known == len(self.known):
                    return value
        except RecursionError:
            raise RecordingRefusedError("a value is nested too deeply to be searched for secrets") from None
