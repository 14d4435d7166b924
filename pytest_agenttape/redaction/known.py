"""Secrets known by value: looked for in every form in which a program may write them down."""

from __future__ import annotations

import base64
import html
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pytest_agenttape.redaction import names, shapes
from pytest_agenttape.redaction.names import Rule

SHORTEST = 8

# Bytes that tokens consist of become "a": a long run of them is the cheapest sign that a text may hold a secret.
_TOKEN_BYTES = bytes(97 if chr(at).isascii() and (chr(at).isalnum() or chr(at) in "_-+") else 32 for at in range(256))
_RUN = b"a" * 16
NUL = "\0"  # stands beside each character in bytes of UTF-16
_NUMBER = re.compile("[0-9]{4}")
_SHORTEST_LINE = 24


def has_token(text: str) -> bool:
    """Return whether *text* has a run of 16 or more token characters."""
    return _RUN in text.encode("utf-8", "surrogatepass").translate(_TOKEN_BYTES)


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of a secret: the text to look for, and how its stand-in is written in that form."""

    text: str
    secret: str
    write: Callable[[str], str]


class KnownSecrets:
    """The values that must not be stored, and the search for all their forms."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms: dict[str, Needle] = {}
        self._ordered: list[Needle] | None = []
        self._lengths: list[int] = []
        self.unrun: tuple[str, ...] = ()  # the forms without a long run, for which there is no cheap sign

    def __contains__(self, secret: str) -> bool:
        return secret in self._secrets

    def __len__(self) -> int:
        return len(self._secrets)

    def copy(self) -> KnownSecrets:
        """Return the same knowledge, to add to."""
        made = KnownSecrets()
        made._secrets, made._forms, made.unrun = self._secrets.copy(), self._forms.copy(), self.unrun
        made._ordered, made._lengths = self._sorted(), self._lengths
        return made

    def learn(self, secret: str) -> None:
        """Look for *secret* from now on."""
        if secret in self._secrets:
            return
        self._secrets.add(secret)
        new = [self._forms.setdefault(needle.text, needle) for needle in _forms(secret)]
        self.unrun += tuple(each.text for each in new if not has_token(each.text) and NUL not in each.text)
        self._ordered = None

    def in_text(self, text: str) -> Iterator[Needle]:
        """Yield the forms that *text* holds, the longest first, because a secret may contain another."""
        ordered = self._sorted()
        first = bisect_left(self._lengths, -len(text))
        return (needle for needle in ordered[first:] if needle.text in text)

    def replace(self, text: str, stand_in: Callable[[str], str]) -> str:
        """Return *text* with every form of every known secret replaced."""
        for needle in self.in_text(text):
            text = text.replace(needle.text, needle.write(stand_in(needle.secret)))
        return text

    def _sorted(self) -> list[Needle]:
        if self._ordered is None:
            self._ordered = sorted(self._forms.values(), key=lambda needle: -len(needle.text))
            self._lengths = [-len(needle.text) for needle in self._ordered]
        return self._ordered


def environment_secrets(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of *environ* that are secrets by name and shape, and the passwords in its URLs."""
    for name, value in environ.items():
        if "://" in value and "@" in value:
            yield from _password_of_url(value)
        if len(value) < SHORTEST or not names.is_secret_variable(name):
            continue
        if value.lstrip().startswith("{"):
            yield from _secrets_of_document(value)
        elif is_worth_knowing(value.strip()) or _is_password(name, value.strip()):
            yield value.strip()


def is_worth_knowing(value: str) -> bool:
    """Return whether *value* may be looked for everywhere without hitting plain words, numbers and paths."""
    if len(value) < SHORTEST or value.isdigit() or (shapes.is_filler(value) and len(value) < 16):
        return False
    if "-----BEGIN " in value:
        return True
    if shapes.is_path(value) or shapes.is_plain_url(value) or shapes.is_word(value) or len(set(value)) < 3:
        return False
    return " " not in value.strip() or shapes.is_mixed(value)


def _is_password(name: str, value: str) -> bool:
    """Return whether a text of digits, or of several words, is a secret because of the variable that it is in."""
    rule = names.variable_rule(name)
    if value.isdigit():
        return rule >= Rule.SHAPED and len(value) >= SHORTEST and shapes.is_number(value)
    return rule in (Rule.PASSWORD, Rule.PHRASE) and shapes.is_phrase(value) and not shapes.is_filler(value)


def _password_of_url(value: str) -> Iterator[str]:
    try:
        password = urlsplit(value).password
    except ValueError:
        return
    if password and is_worth_knowing(unquote(password)):
        yield unquote(password)


def _secrets_of_document(value: str) -> Iterator[str]:
    try:
        document = json.loads(value)
    except (ValueError, RecursionError):
        return
    for name, each in document.items() if isinstance(document, dict) else ():
        if isinstance(each, str) and names.body_rule(name) and is_worth_knowing(each):
            yield each


def _forms(secret: str) -> Iterator[Needle]:
    yield Needle(secret, secret, str)
    for write in _SPELLINGS:
        spelled = write(secret)
        if spelled != secret and len(spelled) >= SHORTEST:
            yield Needle(spelled, secret, write)
    yield Needle(NUL.join(secret), secret, _utf_16)
    raw = secret.encode("utf-8", "surrogatepass")
    for hexed in (raw.hex(), raw.hex().upper()):
        yield Needle(hexed, secret, str)
    for core in _base64_cores(raw):
        for spelled in {core, core.replace("+", "-").replace("/", "_")}:
            yield Needle(spelled, secret, _quantum_keeper(len(spelled)))
    yield from _lines(secret)


def _base64_cores(raw: bytes) -> Iterator[str]:
    """Yield the characters that depend on *raw* alone, for each of the three ways it can be aligned."""
    yield base64.b64encode(raw).decode("ascii")
    for shift, start in enumerate((0, 2, 3)):
        encoded = base64.b64encode(b"\0" * shift + raw).decode("ascii")
        whole = (shift + len(raw)) * 8 // 6
        yield encoded[start:whole]


def _quantum_keeper(length: int) -> Callable[[str], str]:
    # If the length stays the same modulo four, the rest of the base64 text stays aligned and still decodes.
    return lambda stand_in: stand_in + "A" * ((length - len(stand_in)) % 4)


def _lines(secret: str) -> Iterable[Needle]:
    """Return the lines of a key block, which a writer may indent or escape one by one."""
    lines = secret.splitlines()
    if len(lines) < 2:
        return ()
    return [
        Needle(line.strip(), secret, _block_line)
        for line in lines
        if len(line.strip()) >= _SHORTEST_LINE and not line.startswith("-----")
    ]


def _block_line(stand_in: str) -> str:
    lines = stand_in.splitlines()
    return lines[len(lines) // 2]


def _utf_16(stand_in: str) -> str:
    return NUL.join(_NUMBER.sub("0000", stand_in))  # a match key does not ignore a number that is spelled so


def _json_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _json_unicode(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _json_slashed(text: str) -> str:
    return _json_ascii(text).replace("/", "\\/")


def _json_for_html(text: str) -> str:
    return re.sub("[&<>]", lambda match: f"\\u{ord(match[0]):04x}", _json_unicode(text))


def _json_twice(text: str) -> str:
    return _json_ascii(_json_ascii(text))


def _json_unicode_twice(text: str) -> str:
    return _json_unicode(_json_unicode(text))


def _python(text: str) -> str:
    return repr(text)[1:-1]


def _url(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def _url_of_path(text: str) -> str:
    return quote(text, errors="surrogatepass")


def _url_of_form(text: str) -> str:
    return quote_plus(text, errors="surrogatepass")


def _url_lower(text: str) -> str:
    parts = _url(text).split("%")
    return "%".join((parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])))


def _inside(outer: Callable[[str], str], inner: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: outer(inner(text))


_SPELLINGS: tuple[Callable[[str], str], ...] = (
    _json_ascii,
    _json_unicode,
    _json_slashed,
    _json_for_html,
    _json_twice,
    _json_unicode_twice,
    _python,
    _url,
    _url_of_path,
    _url_of_form,
    _url_lower,
    html.escape,
    *(_inside(outer, inner) for outer in (_url, _url_of_path, _python) for inner in (_json_ascii, _url)),
)
