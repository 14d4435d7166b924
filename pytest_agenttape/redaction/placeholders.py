"""The placeholders that replace secrets: one grammar, readable, numbered per value, never derived from the value.

A placeholder is the word and four digits, ``REDACTED0001``. It has no character that a URL, a cookie, JSON, YAML or
base64 would escape, so it is spelled alike everywhere, and a client that parses what is around it still can.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Container, Iterable, Mapping, Set
from functools import lru_cache
from urllib.parse import quote, unquote

from pytest_agenttape.model import REDACTION_PLACEHOLDER, SECRET_PLACEHOLDER
from pytest_agenttape.redaction.names import COOKIE_OF_NETWORK, may_hold_secret

PLACEHOLDER = SECRET_PLACEHOLDER
_KIND = "kind "  # before the name of what many secrets are, in place of the secret
NUMBER, CHOSEN_NUMBER = "number ", "chosen number "  # before the digits of a secret that is no text

_WORDS = (PLACEHOLDER, REDACTION_PLACEHOLDER)
_LAST_NUMBER = 9999
_NAMED, _CHOSEN = (
    re.compile(rf'"([^"\\]{{1,128}})":"{value}"|(?<=[?&"])([^=&"\\\s]{{1,128}})={value}(?=[&"])')
    for value in (PLACEHOLDER, re.escape(REDACTION_PLACEHOLDER))
)
_PARAMETER = r"[^&\"\\\s;|<>]++"  # a value within a URL or a form, and nothing that follows it in a text
_NUMBERED = re.compile(r"(?:REDACTED|\*{4})([0-9]{4})")
_NUMBERED_BYTES = re.compile(rb"(REDACTED|\*{4})[0-9]{4}")
_CORES = ("UkVEQUNURU", "JFREFDVEVE", "SRURBQ1RFR")  # of the word in base64, for each way it can be aligned
_SPELLED = re.compile(r"REDACTED[0-9]{4}")
_SPELLED_LENGTH = len(PLACEHOLDER) + 4
_LIKE_ONE = re.compile(r"REDACTED[0-9]{4}|\*{4}(?:[0-9]{4})?")
_OUTSIDE_OF_STRINGS = frozenset("[]{}:,.+-0123456789NaInfinityEetrualsn")  # what JSON has there
_STARRED = re.compile(r"(?:\*|%2[Aa]){4}(?:[0-9]{4})?")
# A segment of a token's stand-in starts with the base64 of ' {"', or is that of ' {}', as no real token's does.
_SEGMENT = r"IH(?:si[A-Za-z0-9_-]*+|t9)"
_TOKEN_STAND_IN = re.compile(rf"{_SEGMENT}(\.{_SEGMENT}\.REDACTED[0-9]{{4}})?")
_TOKEN = re.compile(r"(eyJ[A-Za-z0-9_-]+)\.(eyJ[A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")
_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{1,64}-----)(\r?\n|\\n|\\r\\n)?.*?(-----END [A-Z0-9 ]{1,64}-----)(\s*)", re.DOTALL
)
_PEM_START = re.compile(r"-----BEGIN [A-Z0-9 ]{1,64}-----(?:\s|\\[rn])*+")
_PEM_BODY = re.compile(r"(?:\s|\\[rn])*+[A-Za-z0-9+/=]{16}")
_PEM_LINES = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]{1,64}-----|\\[rn]|\s")


def canonical_secrets(text: str, listed: Container[str] | None = None, template: str = PLACEHOLDER) -> str:
    """Return *text* with every placeholder made one constant, as a match key needs it.

    Args:
        text: Any text.
        listed: The placeholders; what else looks like one is text. None where everything is one that looks like it.
        template: The placeholder of the user's choice.
    """

    def constant(match: re.Match[str]) -> str:
        spelled = match[0] if match[0][:1] == "R" else match[0].replace("%2A", "*").replace("%2a", "*")
        return PLACEHOLDER if listed is None or spelled in listed else match[0]

    def constant_token(match: re.Match[str]) -> str:
        return PLACEHOLDER if match[1] and (listed is None or match[1][-_SPELLED_LENGTH:] in listed) else match[0]

    if template not in _WORDS:
        text = _without_surroundings(text, listed, template)
    if PLACEHOLDER in text:
        if "IH" in text:
            text = _TOKEN_STAND_IN.sub(constant_token, text)
        text = _SPELLED.sub(constant, text)
    # A single character is looked for much faster than a longer text.
    if ("*" in text and REDACTION_PLACEHOLDER in text) or ("%" in text and ("%2A" in text or "%2a" in text)):
        text = _STARRED.sub(constant, text)
    return text


def canonical_base64(encoded: str, listed: Container[str] | None = None) -> str:
    """Return base64 text with the numbers of the *listed* placeholders in its bytes set to zero, as they are stored."""
    if not any(core in encoded for core in _CORES):
        return encoded
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return encoded

    def zero(match: re.Match[bytes]) -> bytes:
        return unnumbered(match[0]) if listed is None or match[0].decode() in listed else match[0]

    return base64.b64encode(_NUMBERED_BYTES.sub(zero, raw)).decode("ascii")


def is_placeholder(text: str, listed: Container[str] | None = None, template: str = PLACEHOLDER) -> bool:
    """Return whether *text* is nothing but a placeholder, one of the *listed* if there is a list."""
    return canonical_secrets(text, listed, template) == PLACEHOLDER


def placeholders_in(text: str) -> list[str]:
    """Return what looks like a placeholder in *text*, in order."""
    return _LIKE_ONE.findall(text) if PLACEHOLDER in text or REDACTION_PLACEHOLDER in text else []


def any_secret(texts: Iterable[str], stored: Iterable[str] = ()) -> Callable[[str], str]:
    """Return a function from canonical JSON to the one of *texts* (also canonical) that differs only in secrets.

    A real key is recognised by its looks, but the dummy key of a test does not look like one. So where a recording has
    a placeholder under the name of a secret, any text is accepted; nothing else may differ. In the *stored* form of
    *texts*, a placeholder without a number is one that `Cassette.redact` wrote, under a name of the user's choice.
    """
    known = set(texts)
    names = set(filter(may_hold_secret, _names(_NAMED, known))) | _names(_CHOSEN, stored)
    if not names:
        return lambda text: text
    either = "|".join(map(re.escape, sorted(names)))
    value = re.compile(rf'("(?:{either})":")((?:[^"\\]|\\.)++)|((?<=[?&"])(?:{either})=)({_PARAMETER})')
    places: dict[str, dict[frozenset[int], None]] = {}  # of the placeholders, by the text without the values
    for text in sorted(known):
        found = enumerate(value.finditer(text))
        placeholders = frozenset(number for number, match in found if PLACEHOLDER in (match[2], match[4]))
        if placeholders:
            places.setdefault(_with_secrets(value, text), {})[placeholders] = None

    def recorded(text: str) -> str:
        if text in known:
            return text
        candidates = (_with_secrets(value, text, at) for at in places.get(_with_secrets(value, text), ()))
        return next((each for each in candidates if each in known), text)

    return recorded


def _names(pattern: re.Pattern[str], texts: Iterable[str]) -> set[str]:
    return {member or parameter for text in texts for member, parameter in pattern.findall(text)}


def _with_secrets(value: re.Pattern[str], text: str, places: Container[int] | None = None) -> str:
    """Return *text* with a placeholder for each match of *value*, or for those at *places*."""
    number = itertools.count()
    return value.sub(
        lambda match: f"{match[1] or match[3]}{PLACEHOLDER}" if places is None or next(number) in places else match[0],
        text,
    )


def unnumbered(data: bytes) -> bytes:
    """Return *data* with the number of every placeholder set to zero: in base64, a match key could not ignore it."""
    return _NUMBERED_BYTES.sub(rb"\g<1>0000", data)


class Placeholders:
    """The numbering of one cassette: the same value has the same placeholder everywhere, two values have two."""

    def __init__(self, template: str, taken: Iterable[str] = (), issued: set[str] | None = None) -> None:
        self._issued = set() if issued is None else issued
        self._head, self._tail, self._is_numbered, self.pattern = _parts_of(template)
        self._numbers: dict[str, int] = {}
        self._moved: dict[str, str] = {}
        self._hidden: set[str] = set()  # secrets of which nobody is to know what they look like
        self._looks: dict[str, str] = {}  # look-alikes, with what each stands for
        self._kinds: dict[str, str] = {}  # of secrets that nobody needs to tell apart
        self._highest = 0
        for text in taken:
            self._take(text)

    def text_for(self, secret: str) -> str:
        """Return the bare placeholder of *secret*."""
        return f"{self._head}{self._number(secret)}{self._tail}" if self._is_numbered else self._head

    def number_for(self, digits: str, *, is_chosen: bool) -> str:
        """Return the placeholder of a number; of one that a person chose, nobody is to know how long it is."""
        return self._looks.get(digits) or self.text_for(f"{CHOSEN_NUMBER if is_chosen else NUMBER}{digits}")

    def stand_in(self, secret: str) -> str:
        """Return what replaces *secret*: its placeholder in the shape that code which parses the secret expects."""
        if secret in self._looks:
            return self._looks[secret]
        if secret.startswith("eyJ") and (token := _TOKEN.fullmatch(secret)):
            return self._token(secret, token[1], token[2])
        if secret.startswith("-----BEGIN ") and (block := _PEM.fullmatch(secret)):
            newline = block[2] or ""
            return f"{block[1]}{newline}{self.text_for(_PEM_LINES.sub('', secret))}{newline}{block[3]}{block[4]}"
        return self.text_for(secret)

    def recognise(self, look_alike: str, stands_for: str) -> None:
        """Take *look_alike*, which is handed out in replay, for the placeholder that it *stands_for*."""
        self._looks[look_alike] = stands_for
        self._highest = max(self._highest, int(self.name_in(stands_for)[-4:]))  # another must not get its number

    def liken(self, secret: str, kind: str) -> None:
        """Give *secret* the number of all others of its *kind*: nobody needs to tell them apart."""
        if secret not in self._numbers:
            self._kinds.setdefault(secret, _KIND + kind)
            self._hidden.add(_KIND + kind)

    def make_way(self, taken: Set[str]) -> Mapping[str, str]:
        """Give secrets whose placeholders are *taken* other numbers; return all new placeholders by the old ones."""
        for secret, number in list(self._numbers.items()):
            if (before := f"{PLACEHOLDER}{number:04}") in taken:
                self._highest = max(self._highest, *(int(each[-4:]) for each in taken))
                del self._numbers[secret]
                now = f"{PLACEHOLDER}{self._number(secret)}"
                self._moved |= {name: now for name, then in self._moved.items() if then == before} | {before: now}
        return self._moved

    @property
    def looks(self) -> Mapping[str, str]:
        """The look-alikes that were handed out, each with what it stands for."""
        return self._looks

    def hide(self, *secrets: str) -> None:
        """Never say what *secrets* look like: a person chose them, and who knows their length guesses them sooner."""
        self._hidden.update(secrets)

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets that were given a number of their own, by number, but for those that are hidden."""
        shown = ((secret, each) for secret, each in self._numbers.items() if secret not in self._hidden)
        return {f"{number:04}": secret for secret, number in shown if number < _LAST_NUMBER}

    @staticmethod
    def name_in(placeholder: str) -> str:
        """Return *placeholder* as a cassette lists it, without what may surround it."""
        return next(reversed(_LIKE_ONE.findall(placeholder)), "")

    def is_settled(self, text: str) -> bool:
        """Return whether *text* is nothing but placeholders and what may surround them."""
        if (block := _PEM_START.match(text)) and (found := self.pattern.match(text, block.end())):
            return _PEM_BODY.match(text, found.end()) is None  # its last line may be in another event of a stream
        rest = self.without(text)
        return rest is not text and not any(map(str.isalnum, _PEM_LINES.sub("", unquote(rest))))

    def without(self, text: str) -> str:
        """Return *text* without the placeholders in it; the same object if there are none."""
        rest = self.pattern.sub("", text)
        return text if len(rest) == len(text) else rest

    def found_in(self, text: str, listed: Container[str] | None) -> set[str]:
        """Return what stands for a secret in *text*: only what is *listed*, if there is a list."""
        found = {each for each in self.pattern.findall(text) if _is_listed(each, listed)}
        return found.union(each for each in self._looks if each in text)

    def is_part(self, text: str) -> bool:
        """Return whether *text* could occur inside a placeholder, and so must never be looked for."""
        shape = re.sub("[0-9]", "0", text)
        return any(shape in f"{word}0000{self._tail}" for word in (*_WORDS, self._head)) or bool(
            self.pattern.search(text)
        )

    def _take(self, text: str) -> None:
        """Leave the numbers in *text* to what has them; a new secret of a kind in it gets the number of its kind."""
        self._highest = max(self._highest, *map(int, _NUMBERED.findall(text)), 0)
        for kind in COOKIE_OF_NETWORK.finditer(text):
            found = self.pattern.match(text, kind.end())
            name = self.name_in(found[0]) if found else ""
            if name in self._issued and name[-4:].isdigit():
                self._numbers.setdefault(_KIND + kind[1], int(name[-4:]))

    def _number(self, secret: str) -> str:
        secret = self._kinds.get(secret, secret)
        number = self._numbers.get(secret)
        if number is None:
            # Values beyond the last number share it: four digits keep the grammar fixed.
            number = self._numbers[secret] = self._highest = min(self._highest + 1, _LAST_NUMBER)
            self._issued |= {*_LIKE_ONE.findall(f"{self._head}{number:04}{self._tail}"), f"{PLACEHOLDER}{number:04}"}
        return f"{number:04}"

    def _token(self, secret: str, head: str, claims: str) -> str:
        """Return a token that still decodes, with the times a client reads, and nothing else of the original."""
        kept = {name: value for name, value in decoded(claims).items() if isinstance(value, int | float)}
        kind = {name: value for name, value in decoded(head).items() if name in ("alg", "typ") and len(str(value)) < 16}
        return f"{_encoded(kind)}.{_encoded(kept)}.{PLACEHOLDER}{self._number(secret)}"


@lru_cache(maxsize=4)
def _parts_of(template: str) -> tuple[str, str, bool, re.Pattern[str]]:
    """Return what is before and after the number of a placeholder, whether it has one, and what all look like."""
    word = next((word for word in _WORDS if word in template), None)
    end = len(template) if word is None else template.index(word) + len(word)
    head, tail, number = template[:end], template[end:], "" if word is None else "[0-9]{4}"
    in_url = quote(head, safe="*"), quote(tail, safe="*")
    spelled = "|".join(f"{re.escape(before)}{number}{re.escape(after)}" for before, after in ((head, tail), in_url))
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_-]){_SEGMENT}\.{_SEGMENT}\.REDACTED[0-9]{{4}}"
        rf"|{spelled}|REDACTED[0-9]{{4}}|\*{{4}}(?:[0-9]{{4}})?"
    )
    return head, tail, word is not None, pattern


def _without_surroundings(text: str, listed: Container[str] | None, template: str) -> str:
    """Return *text* with ``REDACTED0001`` in place of ``<REDACTED0001>``; what has no number becomes the constant."""
    head, tail, is_numbered, _ = _parts_of(template)
    if not is_numbered:
        if _OUTSIDE_OF_STRINGS.issuperset(template):
            return text
        return text.replace(template, PLACEHOLDER).replace(quote(template, safe="*"), PLACEHOLDER)
    word = next(word for word in _WORDS if word in template)
    before, after = ((each, quote(each, safe="*")) for each in (head.removesuffix(word), tail))
    around = ["|".join(map(re.escape, each)) for each in (before, after)]
    own = re.compile(rf"(?:{around[0]})({re.escape(word)}[0-9]{{4}})(?:{around[1]})")
    return own.sub(lambda found: found[1] if listed is None or found[1] in listed else found[0], text)


def _is_listed(stand_in: str, listed: Container[str] | None) -> bool:
    spelled = _LIKE_ONE.findall(unquote(stand_in))
    if not spelled:  # the user's own
        return True
    return spelled[-1] in listed if listed is not None else spelled[-1] != REDACTION_PLACEHOLDER


def decoded(segment: str) -> dict[str, object]:
    """Return what a segment of a token says; nothing if it cannot be read."""
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _encoded(value: Mapping[str, object]) -> str:
    # The leading space keeps the stand-in from looking like a live token to this and to other scanners.
    text = " " + json.dumps(value, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")
