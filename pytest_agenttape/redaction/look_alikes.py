"""Look-alikes: what replay hands out in place of a placeholder, for code that parses the secret.

A cassette says of the placeholders in its answers what their secrets looked like: a prefix that everyone knows, an
alphabet and a length, written as a pattern, such as ``ghp_[A-Za-z0-9]{36}``. A look-alike is made of that pattern and
of the number alone, so it holds nothing of the secret. It has no character that a URL, a cookie or JSON would escape,
and begins with ``REDACTEDn0001`` where its alphabet has room for it, which is no placeholder: all that finds secrets
finds it, too. Whoever sends it is understood to send the placeholder, as a secret is while recording.
"""

from __future__ import annotations

import base64
import hashlib
import re
import string
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from pytest_agenttape.model import JSON, REDACTION_PLACEHOLDER, SECRET_PLACEHOLDER
from pytest_agenttape.redaction import names, patterns, shapes, tokens
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.placeholders import CHOSEN_NUMBER, NUMBER

_LONGEST = 4_096
_ALPHABETS = {
    "[0-9]": string.digits,
    "[0-9a-f]": "0123456789abcdef",
    "[0-9A-F]": "0123456789ABCDEF",
    "[89ab]": "89ab",
    "[89AB]": "89AB",
    "[A-Z2-7]": string.ascii_uppercase + "234567",
    "[A-Z0-9]": string.ascii_uppercase + string.digits,
    "[a-z0-9]": string.ascii_lowercase + string.digits,
    "[A-Za-z0-9]": string.ascii_letters + string.digits,
}
_WIDEST = "[A-Za-z0-9]"
_READ_AS_WIDEST = frozenset(_ALPHABETS[_WIDEST] + "_-+/")  # of base64: a look-alike needs no more than letters
_LAST_OF_BASE64 = "AQgw"  # whatever the length, these set no bit that decoding would drop
_DIGITS = re.compile(r"[0-9]{6,20}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Of formats whose name goes on; and of an object with its secret, as Stripe's are.
_PREFIX = re.compile(
    r"xox[a-z](?:\.xox[a-z])?-|sk-ant-[a-z]{2,6}[0-9]{2}-|sk-or-v[0-9]-|lsv2_[a-z]{2}_|gAAAAA"
    r"|[a-z]{2,5}_(?:test_|live_)?[A-Za-z0-9]{8,64}_secret_"
)
_OWN_PREFIX = re.compile(r"((?:(?:[a-z]{2,8}|[A-Z]{2,8})[_-]){1,3})([A-Za-z0-9+/]+={0,2}|[0-9a-fA-F-]{36})")
_BASE64 = "base64 of "
_NUMBER = "number of "
_LEAST = 16
_FIELDS = re.compile(r"[.:|~]|[^.:|~]+")
_NUMBERED_FIELDS = re.compile(r"((?:[0-9]{4,}|[0-9a-f]{8,})([-_]))(?:(?:[0-9]{4,}|[0-9a-f]{8,})\2)*[A-Za-z0-9]+")
_PARTS = re.compile(r"(\[[^]]{1,12}\])(?:\{([0-9]{1,4})\})?|([A-Za-z0-9_.:|~=-]{1,128})")
_MOST_PARTS = 64
_MARK = re.compile(rf"{SECRET_PLACEHOLDER}[nN]([0-9]{{4}})")
_MOST_TRIES = 16


def shape_of(secret: str, is_told: tokens.IsTold = lambda _path, _text: False) -> str | None:
    """Return what *secret* looks like, as a pattern; None for what a person may have chosen: its length is no one's."""
    if len(secret) > _LONGEST or not secret.isascii():
        return None
    if secret.startswith(CHOSEN_NUMBER):
        return f"{_NUMBER}[0-9]{{8}}"
    if secret.startswith(NUMBER):
        return f"{_NUMBER}[0-9]{{{len(secret) - len(NUMBER)}}}"
    if _DIGITS.fullmatch(secret):
        return f"[0-9]{{{len(secret)}}}"
    if token := tokens.parts_told(secret, is_told):
        said, signature = token
        return f"{said}.{_run(signature)}"
    if (encoded := _encoded_in(secret)) and (inner := shape_of(encoded)):
        return f"{_BASE64}{inner}"
    head = _prefix_of(secret)
    if len(secret) - len(head) < 8 or not (head or shapes.is_machine_made(secret)):
        return None
    body = secret[len(head) :]
    bare = body.rstrip("=")
    runs = [_uuid(body)] if _UUID.fullmatch(body) else [_run(each) for each in _fields_of(bare)]
    shape = "".join((head, *filter(None, runs), body[len(bare) :]))
    return shape if all(runs) and _parsed(shape) else None


def _encoded_in(secret: str) -> str:
    """Return the text of which *secret* is the base64; empty if it is none, or holds a user's name and password."""
    try:
        text = base64.b64decode(secret, validate=True).decode("ascii")
    except ValueError:
        return ""
    return text if text.isprintable() and ":" not in text else ""


def _prefix_of(secret: str) -> str:
    """Return the well-known beginning of *secret*; empty if it has none."""
    if found := _PREFIX.match(secret):
        return found[0]
    own = _OWN_PREFIX.fullmatch(secret)
    # Without it, there is still nothing that can be guessed.
    if own and (_UUID.fullmatch(own[2]) or shapes.is_machine_made(own[2])):
        return own[1]
    return max((start for start in patterns.starts_of(secret) if secret.startswith(start)), key=len, default="")


def _uuid(text: str) -> str:
    upper = text != text.lower()
    h, variant = ("[0-9A-F]", "[89AB]") if upper else ("[0-9a-f]", "[89ab]")
    version, variant = (text[14], variant) if text[14] in "12345678" and text[19] in "89abAB" else (h, h)
    return f"{h}{{8}}-{h}{{4}}-{version}{h}{{3}}-{variant}{h}{{3}}-{h}{{12}}"


def _fields_of(body: str) -> Iterator[str]:
    """Yield the parts of *body* and the marks between them; in base64, ``-`` and ``_`` are none."""
    for each in _FIELDS.findall(body):
        marked = _NUMBERED_FIELDS.fullmatch(each)
        yield from re.split(f"({marked[2]})", each) if marked else (each,)


def _run(text: str) -> str | None:
    if text in tuple("-_.:|~"):
        return text
    found = set(text)
    fitting = (name for name, alphabet in _ALPHABETS.items() if found <= set(alphabet))
    name = next(fitting, _WIDEST if found <= _READ_AS_WIDEST else None)
    return None if name is None else f"{name}{{{len(text)}}}"


def shapes_in(memory: Memory, is_told: Callable[[str], bool]) -> dict[str, str]:
    """Return what the secrets that were taken out look like, by the numbers of their placeholders.

    *is_told* says whether the cassette has a text in plain: then a token may say it, too.
    """
    secrets = memory.placeholders.secrets.items()

    def is_told_below(path: tuple[str, ...], text: str) -> bool:
        return not any(memory.rule_of(name, names.body_rule) for name in path) and is_told(text)

    # Whoever reads a secret that a URL escapes decodes it first.
    found = ((number, secret, shape_of(unquote(secret), is_told_below)) for number, secret in secrets)
    return {number: shape for number, secret, shape in found if shape and look_alike(shape, number) != secret}


def shapes_of(meta: Mapping[str, JSON]) -> dict[str, str]:
    """Return what the secrets looked like that a cassette with this *meta* has placeholders for, by these."""
    shapes = meta.get("shapes")
    pairs = shapes.items() if isinstance(shapes, Mapping) else ()
    return {str(each): str(shape) for shape, names in pairs if isinstance(names, list) for each in names}


def by_shape(looks: Mapping[str, str]) -> dict[str, JSON]:
    """Return *looks* as `meta` has them, the placeholders by the shape: many secrets have the same."""
    shapes: dict[str, JSON] = {}
    for name, shape in looks.items():
        shapes.setdefault(shape, []).append(name)
    return shapes


def fits(shape: str, other: str) -> bool:
    """Return whether whatever has this *shape* has the *other*, too: letters that are all digits may be by chance."""
    parts, others = _parsed(shape) or [], _parsed(other) or []
    return len(parts) == len(others) and all(
        set(alphabet) <= set(allowed) and rest == other_rest
        for (alphabet, *rest), (allowed, *other_rest) in zip(parts, others, strict=True)
    )


# Making one


@lru_cache(maxsize=1024)
def look_alike(shape: str, number: str) -> str | None:
    """Return the look-alike of *shape* for the placeholder with *number*; None if the shape is none of ours."""
    if len(shape) > _LONGEST or shape.count(_BASE64) > 1:  # edited by hand
        return None
    if shape.startswith("{"):
        token = tokens.segments_of(shape)
        signature = None if token is None else look_alike(token[1], number)
        return f"{token[0]}{signature}" if token and signature else None
    if shape.startswith(_BASE64):
        inner = look_alike(shape.removeprefix(_BASE64), number)
        return inner and base64.b64encode(inner.encode()).decode("ascii")
    parts = _parsed(shape)
    if parts is None:
        return None
    tries = (_made(parts, number, f"{shape} {number} {turn}") for turn in range(_MOST_TRIES))
    first = next(tries)
    return next(filter(shapes.is_random, (first, *tries)), first)  # so that it is found wherever the secret is


def marked_in(text: str) -> str | None:
    """Return the placeholder of a look-alike in *text* that says what it is; None if there is none."""
    found = _MARK.search(text)
    return None if found is None else f"{SECRET_PLACEHOLDER}{found[1]}"


def _made(parts: list[tuple[str, int, str]], number: str, seed: str) -> str:
    source = _bytes_of(seed)
    made, is_marked = [], False
    for alphabet, length, literal in parts:
        mark = f"{SECRET_PLACEHOLDER}{'n' if 'n' in alphabet else 'N'}{number}"
        has_room = not is_marked and length >= _LEAST and set(mark) <= set(alphabet)
        is_marked = is_marked or has_room
        if not alphabet:
            made.append(literal)
        elif alphabet == string.digits:
            made.append(_digits(int(number), length))
        else:
            start = mark if has_room else ""
            letters = [alphabet[next(source) % len(alphabet)] for _ in range(length - len(start))]
            if set(_LAST_OF_BASE64) <= set(alphabet):
                letters[-1:] = _LAST_OF_BASE64[next(source) % 4]
            made += [start, *letters]
    return "".join(made)


def _parsed(shape: str) -> list[tuple[str, int, str]] | None:
    """Return the parts of *shape*: an alphabet and a length, or a literal; None if it is not one of ours."""
    parts: list[tuple[str, int, str]] = []
    at = 0
    while at < len(shape):
        found = _PARTS.match(shape, at)
        alphabet, length = (_ALPHABETS.get(found[1] or ""), int(found[2] or 1)) if found else (None, 0)
        if found is None or (found[1] and (alphabet is None or length > _LONGEST)):
            return None
        parts.append((alphabet or "", length, found[3] or ""))
        at = found.end()
    return parts if len(parts) <= _MOST_PARTS and any(alphabet for alphabet, _, _ in parts) else None


def _bytes_of(seed: str) -> Iterator[int]:
    count = 0
    while True:
        yield from hashlib.sha256(f"{seed} {count}".encode()).digest()
        count += 1


def _digits(number: int, length: int) -> str:
    """Return digits of which no two numbers have the same, as long as there are that many."""
    lowest = 10 ** (length - 1)
    return str(lowest + (number * 7919 + 4 * lowest) % (9 * lowest))


# Handing it out


def is_dressed(request: Mapping[str, JSON]) -> bool:
    """Return whether the answers to *request* get look-alikes: gRPC's come back in the bytes that the cassette has."""
    return request.get("method") != "GRPC"


def dressed(node: JSON, looks: Mapping[str, str], memory: Memory) -> JSON:
    """Return *node* with look-alikes for placeholders that have a shape in *looks*; *memory* knows them then."""
    if isinstance(node, str):
        shape = looks.get(node, "")
        if shape.startswith(_NUMBER) and (made := look_alike(shape.removeprefix(_NUMBER), node[-4:])):
            memory.recognise(made, node)
            return int(made) if made.isdecimal() else node
        return memory.placeholders.pattern.sub(lambda found: _worn(found, looks, memory), node)
    if not isinstance(node, dict | list):
        return node
    new: Any = node  # of either kind; a copy, once something changes: most of an answer has no placeholder
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        kind = type(value)
        if (kind is str and (SECRET_PLACEHOLDER in value or REDACTION_PLACEHOLDER in value)) or kind in (dict, list):
            worn = dressed(value, looks, memory)
            if worn is not value:
                new = node.copy() if new is node else new
                new[key] = worn
    return new


def _worn(found: re.Match[str], looks: Mapping[str, str], memory: Memory) -> str:
    text, stored = found.string, found[0]
    name = memory.placeholders.name_in(unquote(stored))
    shape = looks.get(name)
    # In base64, the rest of which is not ours to move.
    is_within = not patterns.is_boundary(text, found.start()) or text[found.end() : found.end() + 1].isalnum()
    made = look_alike(shape, name[-4:]) if shape is not None and not is_within else None
    if made is None:
        return stored
    memory.recognise(made, unquote(stored))
    return made
