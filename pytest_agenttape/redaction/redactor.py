"""The redactor of one cassette: every place in which a secret can stand."""

from __future__ import annotations

import base64
import binascii
import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import quote, unquote_plus

from pytest_agenttape.bodies.messages import Headers
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import context, names, patterns, shapes
from pytest_agenttape.redaction.documents import GZIP, NO_DOCUMENT, inflated, parsed, rewritten
from pytest_agenttape.redaction.known import (
    SHORTEST,
    KnownSecrets,
    environment_secrets,
    has_token,
    is_worth_knowing,
)
from pytest_agenttape.redaction.names import HeaderRule, Rule
from pytest_agenttape.redaction.patterns import Span
from pytest_agenttape.redaction.placeholders import Placeholders, unnumbered
from pytest_agenttape.redaction.rules import RedactionRules
from pytest_agenttape.redaction.scanning import Finding
from pytest_agenttape.redaction.streams import redact_stream

_SCHEMES = frozenset(
    "bearer basic token apikey api-key key digest negotiate ntlm bot oauth dpop ssws genie-key genie googlelogin hmac"
    " service jwt".split()
)
_SIGNED = re.compile(r"\b(Credential|Signature)=([^/,\s]+)")
_QUOTED = re.compile(r"(?:[A-Za-z0-9_.~+*/-]|%[0-9A-Fa-f]{2})++")
_QUOTED_MARKS = ("%3A%2F%2F", "%3a%2f%2f", "%3A//", "%3a//", "-----BEGIN%20", "-----BEGIN+")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,24}://)([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_STREAM_LINE = re.compile(r"(?:data: ?)?([{\[].*[}\]])\s*", re.DOTALL)
_PASSWORD_MARKS = ("assw", "ASSW", "assphrase", "ASSPHRASE", "pwd", "PWD", "ecret", "ECRET")
_COOKIE_ATTRIBUTES = frozenset(("path", "domain", "expires", "max-age", "samesite", "priority"))
_SCHEME_MARKS = ("asic ", "earer ", "ASIC ", "EARER ")
_MOST_SEEN = (
    256  # values found by name and looked for elsewhere, so that a long recording does not get slower and slower
)
_LONGEST_REMEMBERED, _MOST_REMEMBERED = 16_384, 4_096  # characters of a clean text, and such texts
_MOST_HEADERS, _MOST_URLS = 64, 1_024
_STREAM_KEYS = frozenset(("events", "$stream", "after"))  # what is under them came in pieces
_BINARY_KEYS = frozenset(("base64", "body_b64"))
_UNPLAIN_KEYS = _STREAM_KEYS | _BINARY_KEYS | {"value", "logprob", "top_logprobs"}  # their neighbours have a say
_SCALARS = frozenset((int, float, bool, type(None)))
_GRANT_MARKS = frozenset(("state", "grant_type", "redirect_uri", "client_id"))
_LOGPROB_KEYS = frozenset(("logprob", "top_logprobs"))

_Shape = TypeVar("_Shape")


class Redactor:
    """Replaces secrets by placeholders; one for the whole of a cassette, so that its numbering is one."""

    def __init__(
        self,
        rules: RedactionRules,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        taken: Iterable[str] = (),
    ) -> None:
        self._rules = rules
        self._placeholders = Placeholders(rules.placeholder, taken)
        self._known = KnownSecrets()
        self._denied = frozenset(map(names.folded, rules.denylist))
        self._patterns = rules.patterns
        self._headers_seen: dict[Headers, Headers] = {}
        self._urls_seen: dict[str, str] = {}
        self._clean_texts: set[str] = set()
        self._plain_keys: set[str] = set()
        self.learn_environment(environ)

    def __repr__(self) -> str:
        return "<Redactor>"

    def learn_environment(self, environ: Mapping[str, str]) -> None:
        """Take the variables of *environ* that are secrets as ones that go wherever they appear."""
        for secret in environment_secrets(environ) if self._rules.enabled else ():
            self.learn(secret)

    def learn(self, secret: str) -> None:
        """Take *secret*, a credential seen, as one that goes wherever it appears."""
        if len(secret) >= SHORTEST and secret not in self._known and not self._placeholders.is_part(secret):
            self._known.learn(secret)
            for seen in (self._headers_seen, self._urls_seen, self._clean_texts, self._plain_keys):
                seen.clear()  # what was clean may hold the new one

    def headers(self, headers: Headers) -> Headers:
        """Return *headers* without their credentials, which are known from now on; names and schemes stay."""
        if not self._rules.enabled:
            return headers
        redacted = self._headers_seen.get(headers)
        if redacted is None:
            redacted = self._until_known(self._headers, headers)
            if len(self._headers_seen) < _MOST_HEADERS:
                self._headers_seen[headers] = redacted
        return headers if redacted == headers else redacted

    def url(self, url: str) -> str:
        """Return *url* without its password, the secrets in its query, and those known by look or value."""
        if not self._rules.enabled:
            return url
        redacted = self._urls_seen.get(url)
        if redacted is None:
            known = len(self._known)
            redacted = self._url(url)
            if len(self._urls_seen) < _MOST_URLS and known == len(self._known):
                self._urls_seen[url] = redacted
        return redacted

    def body(self, stored: Mapping[str, JSON], content_type: str | None = None) -> dict[str, JSON]:
        """Return a stored body, or what else is stored beside it, without secrets; the same object if it has none."""
        if not self._rules.enabled:
            return stored if isinstance(stored, dict) else dict(stored)
        forms = stored if isinstance(stored, dict) else dict(stored)
        return self._until_known(lambda each: self._body(each, content_type or ""), forms)

    def value(self, value: JSON) -> JSON:
        """Return a tree of plain data without secrets; the same object if it has none."""
        if not self._rules.enabled:
            return value
        try:
            if self._is_plain(value):
                return value
        except RecursionError:
            pass  # said below
        return self._until_known(lambda each: self._walk(each, Rule.NONE), value)

    def text(self, text: str) -> str:
        """Return *text* without secrets; the same object if it has none."""
        if text in self._clean_texts or not self._rules.enabled:
            return text
        redacted = text if self._is_clean(text) else self._searched(text)
        if redacted is text and len(text) <= _LONGEST_REMEMBERED and len(self._clean_texts) < _MOST_REMEMBERED:
            self._clean_texts.add(text)
        return redacted

    def scan(self, data: bytes | str) -> list[Finding]:
        """Return where *data*, about to be written, still holds a known secret in any form or a known format."""
        text = data.decode("utf-8", "replace") if isinstance(data, bytes | bytearray) else data
        if not self._rules.enabled:
            return []
        found = {text.find(needle.text): "known-value" for needle in self._known.in_text(text)}
        for kind, (start, end) in self._hard_spans(text):
            if not self._placeholders.is_settled(text[start:end]):
                found.setdefault(start, kind)
        return list(_with_lines(text, sorted(found.items())))

    # What follows is in the order of the public methods: headers, URLs, bodies, trees, text.

    def _searched(self, text: str) -> str:
        document = self._document(text)
        return self._flat(text) if document is None else document

    def _until_known(self, redact: Callable[[_Shape], _Shape], value: _Shape) -> _Shape:
        """Redact *value* again when a secret was learned on the way, for it may stand further up, too."""
        try:
            while True:
                before, known = value, len(self._known)
                value = redact(value)
                if value is before or known == len(self._known):
                    return value
        except RecursionError:
            raise RecordingRefusedError("a value is nested too deeply to be searched for secrets") from None

    def _headers(self, headers: Headers) -> Headers:
        return tuple((name, self._header(name, value)) for name, value in headers)

    def _url(self, url: str) -> str:
        match = _URL.fullmatch(url)
        if match is None:
            return self.text(url)
        scheme, authority, path, query, fragment = (part or "" for part in match.groups())
        redacted = (
            scheme
            + self._authority(authority)
            + self._url_text(path)
            + (query[:1] + self._query(query[1:], _certain_of_address(authority, path)) if query else "")
            + (fragment[:1] + self._query(fragment[1:]) if "=" in fragment else self._url_text(fragment))
        )
        return url if redacted == url else redacted

    def _body(self, stored: dict[str, JSON], content_type: str) -> dict[str, JSON]:
        redacted = {
            form: self._body_forms[form](self, value, content_type) if form in self._body_forms else value
            for form, value in stored.items()
        }
        return stored if all(redacted[form] is stored[form] for form in stored) else redacted

    def _header(self, name: str, value: str) -> str:
        lowered = name.lower()
        rule = names.header_rule(lowered)
        if self._denied and names.folded(name) in self._denied and rule is HeaderRule.PLAIN:
            rule = HeaderRule.CREDENTIAL
        if rule is HeaderRule.CREDENTIAL:
            return self._credential(value)
        if rule is HeaderRule.COOKIE:
            return "; ".join(self._cookie(each.strip()) for each in value.split(";"))
        if rule is HeaderRule.SET_COOKIE:
            pair, mark, attributes = value.partition(";")
            return self._cookie(pair) + mark + attributes
        if rule is HeaderRule.LINK and _URL.fullmatch(value):
            return self.url(value)
        return self.text(value)

    def _credential(self, value: str) -> str:
        """Return the value of an auth-like header with the scheme kept, and learn what was in it."""
        scheme, space, rest = value.strip().partition(" ")
        if scheme.startswith("AWS4-"):
            return _SIGNED.sub(lambda match: f"{match[1]}={self._replaced(match[2])}", value)
        if not space:
            return value if scheme.lower() in _SCHEMES else self._learned(value)
        if scheme.lower() not in _SCHEMES:
            return self._learned(value)
        if scheme.lower() == "basic":
            self._learn_basic(rest.strip())
        return f"{scheme} {self._learned(rest)}"

    def _learn_basic(self, credential: str) -> None:
        try:
            decoded = base64.b64decode(credential + "=" * (-len(credential) % 4)).decode("utf-8")
        except (binascii.Error, ValueError):
            return
        password = decoded.partition(":")[2]
        for secret in (decoded, password):
            if is_worth_knowing(secret):
                self.learn(secret)

    def _cookie(self, pair: str) -> str:
        name, equals, value = pair.partition("=")
        if not equals or not value.strip('" '):
            return pair
        return f"{name}={self._learned(value) if len(self._known) < _MOST_SEEN else self._replaced(value)}"

    def _cookie_or_attribute(self, pair: str) -> str:
        return pair if pair.partition("=")[0].lower() in _COOKIE_ATTRIBUTES else self._cookie(pair)

    def _learned(self, secret: str) -> str:
        if is_worth_knowing(secret.strip()):
            self.learn(secret.strip())
        return self._replaced(secret)

    def _replaced(self, secret: str) -> str:
        if not secret.strip() or self._placeholders.is_settled(secret):
            return secret
        return self._placeholders.stand_in(secret)

    def _authority(self, authority: str) -> str:
        userinfo, at, host = authority.rpartition("@")
        if not at:
            return self._url_text(authority)
        user, colon, password = userinfo.partition(":")
        user = self._in_url(user) if shapes.is_random(user) else self._url_text(user)
        return user + colon + (self._in_url(password) if password else "") + at + host

    def _query(self, query: str, certain: frozenset[str] = frozenset()) -> str:
        """Return a query without its secrets; a parameter of a *certain* name is one whatever it looks like."""
        pairs = [pair.partition("=") for pair in query.split("&")]
        certain = certain | _certain_of_names({name for name, _, _ in pairs})
        return "&".join(self._parameter(*pair, certain) for pair in pairs)

    def _parameter(self, name: str, equals: str, value: str, certain: frozenset[str]) -> str:
        plain_name, plain = unquote_plus(name), unquote_plus(value)
        name = self._url_text(name)
        if not value:
            return name + equals
        rule = Rule.ALWAYS if plain_name in certain else self._denied_or(plain_name, names.parameter_rule)
        if rule and self._is_secret(plain, rule):
            return name + equals + self._in_url(value)
        return name + equals + self._url_text(value)

    def _in_url(self, value: str) -> str:
        plain = unquote_plus(value)
        if plain_path := _AMZ_CREDENTIAL.fullmatch(plain):
            return value.replace(plain_path[1], self._replaced(plain_path[1]))
        redacted = self._replaced(plain)
        return value if redacted is plain else quote(redacted, safe="*")

    def _url_text(self, text: str) -> str:
        """Return a part of a URL without secrets that are plain in it or appear once it is decoded."""
        redacted = self.text(text)
        if redacted != text or "%" not in text:
            return redacted
        plain = unquote_plus(text)
        redacted = self.text(plain)
        return text if redacted == plain else quote(redacted, safe="*/:")

    def _form(self, form: JSON, _content_type: str) -> JSON:
        if not isinstance(form, dict):
            return self.value(form)
        certain = _certain_of_names(set(form))
        redacted = {name: self._form_value(name, value, certain) for name, value in form.items()}
        return form if all(redacted[name] is form[name] for name in form) else redacted

    def _form_value(self, name: JSON, value: JSON, certain: frozenset[str]) -> JSON:
        if not isinstance(name, str):
            return self._walk(value, Rule.NONE)
        return self._walk(value, Rule.ALWAYS if name in certain else self._denied_or(name, names.parameter_rule))

    def _json_body(self, value: JSON, _content_type: str) -> JSON:
        return self._items(value) if isinstance(value, list) else self.value(value)

    def _items(self, items: JSON) -> JSON:
        """Return the events of a stream without secrets, also those that are split over several."""
        return self.value(self._joined(items))

    def _events(self, events: JSON, _content_type: str) -> JSON:
        if not isinstance(events, list):
            return self.value(events)
        read = [self._raw_event(each) for each in events]
        return self._items(events if all(new is old for new, old in zip(read, events, strict=True)) else read)

    def _raw_event(self, event: JSON) -> JSON:
        raw = event.get("raw") if isinstance(event, dict) else None
        redacted = self._text_body(raw, "") if isinstance(raw, str) else raw
        return event if redacted is raw else {**event, "raw": redacted}

    def _text_body(self, text: JSON, content_type: str) -> JSON:
        if not isinstance(text, str):
            return self.value(text)
        if content_type.lower().startswith("multipart/"):
            text = self._multipart(text)
        elif content_type.lower().startswith("application/x-www-form-urlencoded"):
            redacted = self._query(text)
            text = text if redacted == text else redacted
        elif (lines := self._stream_lines(text)) is not None:
            return lines
        return self.text(text)

    def _multipart(self, text: str) -> str:
        border = text.partition("\n")[0].rstrip("\r")
        if not border.startswith("--"):
            return text
        parts = text.split(border)
        redacted = border.join(map(self._part, parts))
        return text if redacted == text else redacted

    def _part(self, part: str) -> str:
        head, blank, content = part.partition("\r\n\r\n" if "\r\n\r\n" in part else "\n\n")
        name = _PART_NAME.search(head)
        if not blank or name is None:
            return part
        value = content.rstrip("\r\n-")
        rule = self._denied_or(name[1], names.parameter_rule)
        redacted = self._string(value, rule) if rule else self.text(value)
        return head + blank + redacted + content[len(value) :]

    def _stream_lines(self, text: str) -> str | None:
        """Return lines of JSON, each alone or after ``data:``, redacted as one stream; None when *text* is none."""
        lines = text.splitlines(keepends=True)
        matches = [(at, match) for at, line in enumerate(lines) if (match := _STREAM_LINE.fullmatch(line))]
        if len(matches) < (1 if "data:" in text else 2) or len(matches) * 4 < len(lines):
            return None
        read = [(at, match[1], parsed(match[1])) for at, match in matches]
        documents = [(at, source, value) for at, source, value in read if value is not NO_DOCUMENT]
        values = [value for _, _, value in documents]
        try:
            redacted = self._items(values)
        except (RecursionError, RecordingRefusedError):
            return None
        if redacted is values:
            return self._flat(text)
        for (at, source, value), new in zip(documents, redacted, strict=True):
            lines[at] = lines[at].replace(source, rewritten(source, value, new))
        return self._flat("".join(lines))

    def _binary(self, encoded: JSON, content_type: str) -> JSON:
        if not isinstance(encoded, str):
            return self.value(encoded)
        try:
            raw = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            return self.text(encoded)
        redacted = self._compressed(raw) if raw.startswith(GZIP) else self._bytes(raw)
        if content_type.lower().startswith("multipart/"):
            redacted = self._multipart(redacted.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if redacted == raw:
            return encoded
        return base64.b64encode(unnumbered(redacted)).decode("ascii")

    def _compressed(self, raw: bytes) -> bytes:
        plain = inflated(raw)
        redacted = plain if plain is None else self._bytes(plain)
        return raw if redacted is None or redacted == plain else gzip.compress(unnumbered(redacted), mtime=0)

    def _bytes(self, raw: bytes) -> bytes:
        try:
            return self._bytes_as(raw, "utf-8", "strict")
        except UnicodeDecodeError:  # both ways keep every byte, and a secret may stand in either encoding
            return self._bytes_as(self._bytes_as(raw, "utf-8", "surrogateescape"), "latin-1", "strict")

    def _bytes_as(self, raw: bytes, encoding: str, errors: str) -> bytes:
        text = raw.decode(encoding, errors)
        redacted = self.text(text)
        try:
            return raw if redacted is text else redacted.encode(encoding, errors)
        except UnicodeEncodeError:  # the user's own placeholder is not Latin-1; the scan refuses what stays
            return raw

    def _is_plain(self, node: JSON) -> bool:
        """Say whether *node* is as most are: names that mean nothing, texts that are clean. False leaves it open."""
        kind = type(node)
        if kind is str:
            return self.text(node) is node
        if kind is dict:
            return self._is_plain_mapping(node)
        if kind is list:
            if len(node) == 2 and type(node[0]) is str and self._pair_rule(node[0]):
                return False
            return all(map(self._is_plain, node))
        return kind in _SCALARS

    def _is_plain_mapping(self, node: dict[JSON, JSON]) -> bool:
        keys, clean = self._plain_keys, self._clean_texts
        for key, value in node.items():
            if key not in keys and not self._is_plain_key(key):
                return False
            kind = type(value)
            if kind is str:
                if value not in clean and self.text(value) is not value:
                    return False
            elif kind not in _SCALARS and not self._is_plain(value):
                return False
        return True

    def _is_plain_key(self, key: JSON) -> bool:
        if not isinstance(key, str) or key in _UNPLAIN_KEYS or self._denied_or(key, names.body_rule):
            return False
        if len(key) >= self._shortest_key and self.text(key) is not key:
            return False
        if len(self._plain_keys) < _MOST_REMEMBERED:
            self._plain_keys.add(key)
        return True

    def _walk(self, node: JSON, rule: Rule) -> JSON:
        if isinstance(node, str):
            return self._string(node, rule)
        if isinstance(node, dict):
            return self._mapping(node, rule)
        if isinstance(node, list | tuple):
            return self._sequence(node, rule)
        if isinstance(node, bytes | bytearray):
            redacted = self._bytes(bytes(node))
            return node if redacted == node else type(node)(redacted)
        if rule is Rule.ALWAYS and isinstance(node, int | float) and not isinstance(node, bool):
            return self._placeholders.text_for(str(node))
        return node

    def _mapping(self, node: dict[JSON, JSON], rule: Rule) -> JSON:
        # A mapping under a secret's name is judged by its own names, unless the name stands for several secrets.
        inherited = rule if rule in (Rule.ALWAYS, Rule.SEVERAL) else Rule.NONE
        is_logprob = not _LOGPROB_KEYS.isdisjoint(node)
        named = self._rule_of_named(node) if "value" in node else Rule.NONE
        out: dict[JSON, JSON] = {}
        is_changed = False
        for key, value in node.items():
            own, new_key = Rule.NONE, key
            if isinstance(key, str):
                own = self._denied_or(key, names.body_rule)
                new_key = key if len(key) < self._shortest_key else self.text(key)
            if key in _BINARY_KEYS and isinstance(value, str):
                out[new_key] = new = self._binary(value, "")
                is_changed = is_changed or new is not value
                continue
            if key in _STREAM_KEYS:
                value = self._joined(value)
                is_changed = is_changed or value is not node[key]
            if is_logprob and key == "token":
                own = Rule.NONE
            elif named and key == "value":
                own = named
            elif not own and inherited:
                own = Rule.RANDOM if inherited is Rule.SEVERAL else inherited
            new = self._walk(value, own) if not (value is None or value is True or value is False) else value
            is_changed = is_changed or new is not value or new_key is not key
            out[new_key] = new
        return out if is_changed else node

    def _joined(self, pieces: JSON) -> JSON:
        """Return the pieces of a stream without the secrets that are split over several."""
        if isinstance(pieces, dict) and isinstance(pieces.get("items"), list):
            items = self._joined(pieces["items"])
            return pieces if items is pieces["items"] else {**pieces, "items": items}
        if not isinstance(pieces, list) or len(pieces) < 2:
            return pieces
        boxed = [[each] for each in pieces]  # a piece may be a bare text
        redacted = redact_stream(boxed, self.text, self._placeholders.pattern)
        return pieces if redacted is boxed else [box[0] for box in redacted]

    def _rule_of_named(self, node: dict[JSON, JSON]) -> Rule:
        """Return the rule for ``value`` in ``{"name": "API_KEY", "value": ...}``."""
        for mark in ("name", "key", "header", "Name", "Key"):
            if isinstance(node.get(mark), str):
                return self._denied_or(node[mark], names.body_rule)
        return Rule.NONE

    def _sequence(self, node: JSON, rule: Rule) -> JSON:
        items = node
        if rule is Rule.NONE and _is_logprobs(node):
            items = redact_stream(node, self.text, self._placeholders.pattern)
        if rule is Rule.NONE and len(node) == 2 and isinstance(node[0], str) and isinstance(node[1], str):
            out = [self.text(node[0]), self._walk(node[1], self._pair_rule(node[0]))]
        else:
            out = [self._walk(each, rule) for each in items]
        if items is node and all(new is old for new, old in zip(out, node, strict=True)):
            return node
        return tuple(out) if isinstance(node, tuple) else out

    def _pair_rule(self, name: str) -> Rule:
        """Return the rule for the second text of a pair such as ``["Authorization", "Bearer ..."]``."""
        if len(name) > 64 or " " in name:
            return Rule.NONE
        return self._denied_or(name, names.body_rule)

    @property
    def _shortest_key(self) -> int:
        """The length below which a key cannot hold a secret."""
        return SHORTEST if self._known.unrun or self._patterns or self._rules.redact_emails else 16

    def _denied_or(self, name: str, rule: Callable[[str], Rule]) -> Rule:
        if self._denied and names.folded(name) in self._denied:
            return Rule.ALWAYS
        return rule(name)

    def _string(self, text: str, rule: Rule) -> str:
        if rule is Rule.COOKIES and "=" in text:
            redacted = "; ".join(self._cookie_or_attribute(each.strip()) for each in text.split(";"))
            return text if redacted == text else redacted
        if rule and text:
            scheme, space, credential = text.strip().partition(" ")
            if space and scheme.lower() in _SCHEMES and self._is_secret(credential, rule):
                return self._credential(text)
            if self._is_secret(text, rule):
                if text[:1] in "{[" and (document := self._document(text)) is not None:
                    return document
                return self._named(text)
        return self.text(text)

    def _named(self, text: str) -> str:
        """Return the stand-in of a value found by its name, and know it from now on if nothing else is spelled so."""
        if self._placeholders.is_settled(text):
            return text
        if shapes.is_random(text) and len(self._known) < _MOST_SEEN:
            self.learn(text)
        return self._replaced(text)

    def _is_secret(self, text: str, rule: Rule) -> bool:
        rest = self._placeholders.without(text)
        if rest is not text:
            text = rest
        if rule is Rule.ALWAYS:
            return bool(text.strip())
        return shapes.is_random(text) if rule is Rule.RANDOM else shapes.is_secret_shaped(text)

    def _is_clean(self, text: str) -> bool:
        """Say, at the price of a few searches, that *text* cannot hold a secret."""
        if len(text) < SHORTEST and not self._patterns:
            return True
        return text.lstrip()[:1] not in ("{", "[") and self._is_unmarked(text)

    def _is_unmarked(self, text: str) -> bool:
        """Say whether *text* has nothing that a secret which is plain in it would bring along."""
        if has_token(text) or self._patterns:
            return False
        if "://" in text and ("@" in text or "=" in text):
            return False
        if "%40" in text:
            return False
        if any(mark in text for mark in _SCHEME_MARKS) or (self._rules.redact_emails and "@" in text):
            return False
        if (":" in text or "=" in text) and any(mark in text for mark in _PASSWORD_MARKS):
            return False
        return not any(form in text for form in self._known.unrun)

    def _document(self, text: str) -> str | None:
        """Return JSON text redacted by its names and still valid; None when *text* is no JSON document."""
        stripped = text.strip()
        if stripped[:1] + stripped[-1:] not in ("{}", "[]"):
            return None
        value = parsed(stripped)
        if value is NO_DOCUMENT:
            return None
        try:
            if self._is_unmarked(text) and self._is_plain(value):
                return text
            redacted = self._walk(value, Rule.NONE)
        except RecursionError:
            return None
        if redacted is not value:
            text = text.replace(stripped, rewritten(stripped, value, redacted))
        return self._flat(text)

    def _flat(self, text: str) -> str:
        """Return *text* without the secrets that are plain in it or in a URL-encoded part of it."""
        redacted = self._plain(text)
        if "%" not in redacted or not any(mark in redacted for mark in _QUOTED_MARKS):
            return redacted
        requoted = _QUOTED.sub(self._requoted, redacted)
        return redacted if requoted == redacted else requoted

    def _requoted(self, match: re.Match[str]) -> str:
        plain = unquote_plus(match[0])
        redacted = self._plain(plain)
        return match[0] if redacted is plain else quote(redacted, safe="*/" if "/" in match[0] else "*")

    def _plain(self, text: str) -> str:
        redacted = self._known.replace(text, self._placeholders.stand_in)
        spans = [span for _, span in self._hard_spans(redacted)]
        spans += context.find_assigned(redacted)
        if "=" in redacted:
            spans += context.find_parameters(redacted)
        out, at = [], 0
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start < at or self._placeholders.is_settled(redacted[start:end]):
                continue
            out += [redacted[at:start], self._placeholders.stand_in(redacted[start:end])]
            at = end
        redacted = "".join((*out, redacted[at:])) if out else redacted
        return text if redacted == text else redacted

    def _hard_spans(self, text: str) -> Iterator[tuple[str, Span]]:
        """Yield what is a secret by its look alone, whatever stands around it."""
        yield from patterns.find_formats(text)
        if "://" in text:
            yield from (("password-in-url", span) for span in patterns.find_userinfo(text))
        yield from (("authorization", span) for span in patterns.find_authorization(text))
        if self._rules.redact_emails:
            yield from (("email", span) for span in patterns.find_emails(text))
        for pattern in self._patterns:
            yield from ((pattern.source, span) for span in pattern.find(text))

    _body_forms: Mapping[str, Callable[[Redactor, JSON, str], JSON]] = MappingProxyType(
        {"json": _json_body, "form": _form, "events": _events, "text": _text_body, "body_b64": _binary}
    )


_PART_NAME = re.compile(r"name=\"([^\"\r\n]{1,256})\"")
_AMZ_CREDENTIAL = re.compile(r"((?:AKIA|ASIA)[A-Z0-9]{16}|[^/]{8,128}\.iam\.gserviceaccount\.com)/\d{8}/.*")


def _certain_of_names(given: set[str]) -> frozenset[str]:
    """Return the parameters that are credentials because of what is sent beside them: the code of an OAuth grant."""
    return frozenset(("code",)) if "code" in given and not given.isdisjoint(_GRANT_MARKS) else frozenset()


def _certain_of_address(authority: str, path: str) -> frozenset[str]:
    """Return the parameters that are credentials because of where they are sent: the key of a Google API."""
    is_google = authority.endswith(".googleapis.com") or ":" in path.rpartition("/")[2]
    return frozenset(("key",)) if is_google else frozenset()


def _with_lines(text: str, found: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    line, counted = 1, 0
    for at, kind in found:
        line += text.count("\n", counted, at)
        counted = at
        yield Finding(kind, at, line)


def _is_logprobs(node: JSON) -> bool:
    return len(node) > 1 and isinstance(node[0], dict) and "logprob" in node[0]
