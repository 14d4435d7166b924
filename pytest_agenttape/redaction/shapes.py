"""What a secret looks like, name and format aside."""

from __future__ import annotations

import re

_DIGIT = re.compile(r"[0-9]")
_LOWER = re.compile(r"[a-z]")
_UPPER = re.compile(r"[A-Z]")
_SYMBOL = re.compile(r"[^\w\s.,:;!?'()\[\]-]|_")
_SPACE = re.compile(r"\s")
_TEMPLATE = re.compile(r"\$\{[^}]*\}|\$\w+|\{\{[^}]*\}\}|<[^<>]*>|%\w+%|\*+")
_PATH = re.compile(r"(?:~|\.{1,2})?/[\w.@+-]*(?:/[\w.@+ -]*)*|[A-Za-z]:[\\/].*")
_ROOTS = frozenset(
    "Applications Library Users Volumes app bin builds cache data dev etc github home lib media mnt nix opt private"
    " proc root run sbin secrets srv sys tmp usr var vault work workdir workspace workspaces".split()
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?")
_RESOURCE = re.compile(r"(?!SK)[A-Z]{2}[0-9a-f]{32}")  # an identifier of Twilio's
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_PHRASE = re.compile(r"(?:[a-z]+|[A-Z]+)(?:[_-](?:[a-z]+|[A-Z]+))*")
_PART_OF_NAME = re.compile(
    r"[a-z]{1,15}|[A-Z][a-z]{1,14}|[A-Z]{1,15}|[A-Za-z]?[0-9]{1,4}|[0-9]{1,3}[a-z]{1,2}|(?:19|20)[0-9]{6}"
)
_HEX = re.compile(r"[a-f]{8,}|[A-F]{8,}")
_CAPITAL = re.compile(r"[a-z0-9][A-Z]")
_CAMEL = re.compile(r"[A-Za-z][a-z0-9]++(?:[A-Z][a-z0-9]++)*+")
_CAPITALS = re.compile(r"(?=[0-9]*[A-Z])[A-Z0-9]{16,}")  # base32, as the seeds of one-time passwords are
_SAMPLE = 256  # enough to judge by; a long value is judged in constant time


def is_secret_shaped(text: str) -> bool:
    """Return whether a value under a secret's name is a secret: 16 characters or more, or shorter and mixed."""
    if len(text) < 8:
        return False
    if text.startswith("-----BEGIN "):
        return True
    if _SPACE.search(text) or _TEMPLATE.fullmatch(text[:_SAMPLE]) or _TIME.fullmatch(text):
        return False
    if is_path(text) or is_plain_url(text):
        return False
    return len(text) >= 16 or is_mixed(text)


def is_number(text: str) -> bool:
    """Return whether *text*, which is a password by its name, is one made of digits."""
    return len(text) >= 6 and text.isascii() and text.isdigit() and len(set(text)) > 2


def is_phrase(text: str) -> bool:
    """Return whether *text*, which is a passphrase by its name, is one made of words."""
    return len(text) >= 12 and " " in text and not is_path(text) and not is_plain_url(text)


def is_random(text: str) -> bool:
    """Return whether *text* is a long token of letters and digits that nobody would write as a name."""
    if len(text) < 16 or _SPACE.search(text):
        return False
    sample = text[:_SAMPLE]
    if len(_DIGIT.findall(sample)) < 2 or not (_LOWER.search(sample) or _UPPER.search(sample)) or len(set(sample)) < 8:
        return False
    if _TIME.fullmatch(sample):
        return False
    return not (_ADDRESS.fullmatch(sample) or _TEMPLATE.fullmatch(sample) or is_path(text) or is_plain_url(text))


def is_machine_made(text: str) -> bool:
    """Return whether nobody has chosen *text*: it looks random, or has capitals where no word has any."""
    if is_random(text) or _CAPITALS.fullmatch(text):
        return True
    sample = text[:_SAMPLE]
    has_capitals = len(sample) >= 16 and len(_CAPITAL.findall(sample)) * 6 >= len(sample)
    return has_capitals and not (_SPACE.search(text) or _CAMEL.fullmatch(sample))


def is_mixed(text: str) -> bool:
    """Return whether a short *text* mixes characters as a password does and a word does not."""
    has_digit, has_symbol = _DIGIT.search(text) is not None, _SYMBOL.search(text) is not None
    is_varied = has_digit or (has_symbol and text not in (text.lower(), text.upper()))
    return is_varied and any(map(str.isalpha, text)) and len(set(text)) >= 5


def is_filler(text: str) -> bool:
    """Return whether *text* is what an example has instead of a key: one repeated character, or words."""
    sample = text[:_SAMPLE]
    if len(set(sample)) <= 4:
        return True
    return ("-" in sample or "_" in sample) and _PHRASE.fullmatch(sample.strip("_-")) is not None


def is_name(text: str) -> bool:
    """Return whether *text* names a thing, in words and numbers: ``PROJ-2024-ALPHA``, ``users/12/avatar.png``."""
    if _RESOURCE.fullmatch(text):
        return True
    parts = [part for part in re.split(r"[-_/.:]+", text) if part] if len(text) <= _SAMPLE else []
    if len(parts) < 2 or not all(map(_PART_OF_NAME.fullmatch, parts)) or any(map(_HEX.fullmatch, parts)):
        return False
    is_licence = len(parts) > 2 and text.isupper() and min(map(len, parts)) >= 4
    return any(part.isalpha() and len(part) > 2 for part in parts) and not is_licence


def is_path(text: str) -> bool:
    """Return whether *text* is a path of a file; base64 may begin with a slash too."""
    sample = text[:_SAMPLE]
    if sample[:1] not in ("/", "~", ".") and sample[1:2] != ":":
        return False
    if not _PATH.fullmatch(sample):
        return False
    first = sample.split("/")[1] if sample.startswith("/") else ""
    return not sample.startswith("/") or first in _ROOTS or "." in sample


def is_plain_url(text: str) -> bool:
    """Return whether *text* is a URL without userinfo; what its query holds is judged by the rules of URLs."""
    scheme, mark, rest = text.partition("://")
    return bool(mark) and scheme.isascii() and len(scheme) <= 24 and "@" not in rest


def is_word(text: str) -> bool:
    """Return whether *text* could occur in prose, so looking for it everywhere would hit more than secrets."""
    return len(text) < 16 and not is_mixed(text)
