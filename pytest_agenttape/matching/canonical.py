"""The canonical form of a request: what two requests must share to be the same call."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import itemgetter
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pytest_agenttape.bodies import decode_body, normalise_multipart, without_layout
from pytest_agenttape.bodies.forms import encode_binary
from pytest_agenttape.errors import CassetteCorruptError, ConfigError
from pytest_agenttape.hosts import is_local
from pytest_agenttape.matching.headers import is_asking_header, is_connection_header, is_transport_header
from pytest_agenttape.model import JSON
from pytest_agenttape.providers import is_llm_path, mcp
from pytest_agenttape.redaction import PLACEHOLDER, canonical_base64, canonical_secrets, is_placeholder
from pytest_agenttape.redaction.names import HeaderRule, header_rule

# How a body was written, which a client decides rather than the agent.
_SAYS_HOW = frozenset(("events_layout", "encoded", "charset"))

VOLATILE_PARAMETERS = frozenset(
    "timestamp ts nonce request_id requestid trace_id traceid correlation_id idempotency_key cachebuster _ "
    "x-amz-date x-amz-expires x-amz-credential x-amz-security-token x-amz-signature".split()
)
# Made of the time and of whoever's credentials are there: no matcher compares them.
_SIGNATURE = frozenset("x-amz-date x-amz-content-sha256".split())

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_MAX_ORDERED_DEPTH = 50  # no provider nests its own fields deeper; below, keys are sorted
_DEFAULT_PORTS = {"http": 80, "https": 443}
_encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _make_dumps() -> Callable[[JSON], str]:
    """Return `_encoder.encode` with the C encoder, if there is one, built once instead of at each call.

    `json.encoder.c_make_encoder` is private to the standard library; its arguments are the same from 3.11 to 3.14.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _encoder.encode
    encode = make(None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", True, False, True)
    return lambda value: "".join(encode(value, 0))


_dumps = _make_dumps()


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What a key leaves out.

    Attributes:
        volatile: Leave out volatile headers and query parameters.
        names: Further names of volatile headers and parameters, lower-case.
        paths: Further paths into the request, split at dots; ``*`` means any one step, ``**`` any number.
        headers: Further headers that are compared, lower-case.
        base_url: Whether scheme, host and port of an LLM call are compared.
        accept: Whether the header ``accept`` is; older cassettes do not have it.
        credentials: Names of query parameters that hold secrets, lower-case, each with the path that has it.
        placeholders: What stands for a secret; text that only looks like it is text. None in older cassettes, in which
            everything that looks like it does.
        placeholder: The placeholder of the user's choice.
    """

    volatile: bool = True
    names: frozenset[str] = frozenset()
    paths: tuple[tuple[str, ...], ...] = ()
    headers: frozenset[str] = frozenset()
    base_url: bool = True
    accept: bool = True
    credentials: frozenset[tuple[str, str]] = frozenset()
    placeholders: set[str] | None = field(default=None, compare=False)  # of a session, which adds to it
    placeholder: str = PLACEHOLDER

    @classmethod
    def of(
        cls,
        ignored: Iterable[str],
        headers: Iterable[str] = (),
        *,
        base_url: bool = True,
        placeholder: str = PLACEHOLDER,
    ) -> KeyRules:
        """Sort the configured *ignored* fields into names (no dot) and paths; *headers* are compared as well.

        Raises:
            ConfigError: A field is empty, or a header is the connection's, or none.
        """
        ignored, headers = tuple(ignored), tuple(headers)
        unknown = next((name for name in headers if is_connection_header(name.lower())), None)
        if unknown is not None:
            raise ConfigError(f"match_headers: no cassette has the header {unknown!r}, which the connection sets")
        unnamed = next((name for name in headers if not _HEADER.fullmatch(name)), None)
        if unnamed is not None:
            raise ConfigError(f"match_headers: {unnamed!r} is not the name of a header, such as 'x-tenant'")
        if not all(_split_path(field.strip()) for field in ignored):
            raise ConfigError("ignore_volatile_fields: an entry is empty; name a header, a parameter or a path")
        names = frozenset(field.lower() for field in ignored if "." not in field)
        paths = tuple(_split_path(field.strip()) for field in ignored if "." in field)
        lower = frozenset(map(str.lower, headers))
        return cls(names=names, paths=paths, headers=lower, base_url=base_url, placeholder=placeholder)

    def fitted_to(self, requests: Iterable[Mapping[str, JSON]], *metas: Mapping[str, JSON]) -> KeyRules:
        """Return these rules for cassettes with the stored *requests* and their `meta`."""
        lists = [listed for meta in metas if isinstance(listed := meta.get("redacted"), list)]
        is_listed = len(lists) == len(metas)
        placeholders = {str(each) for listed in lists for each in listed} if is_listed else None
        fitted = replace(self, accept=is_listed, placeholders=placeholders)
        urls = [each["url"] for each in requests if isinstance(each.get("url"), str)]
        secret, plain = set[tuple[str, str]](), set[tuple[str, str]]()
        for url in filter(_has_query, urls):
            held, path = _credentials_in(url, fitted), _path_of(url)
            secret |= {(path, name) for name in held}
            plain |= {(path, name) for name in _parameters_of(url) - held}
        return replace(fitted, credentials=frozenset(secret - plain))

    def exact(self) -> KeyRules:
        """Return the rules for requests that must agree in all that says something of them, but for credentials."""
        return replace(self, volatile=False, names=frozenset(), paths=())

    def compares(self, header: str) -> bool:
        """Return whether a header (lower-case) is compared."""
        if header in self.names or (header == "accept" and not self.accept):
            return False
        if is_asking_header(header):
            return True
        if header_rule(header) is not HeaderRule.PLAIN:  # a credential, whoever names it
            return False
        return header in self.headers or not (self.volatile or is_transport_header(header))


def canonical_text(request: Mapping[str, JSON], rules: KeyRules) -> str:
    """Return the text that equal requests share; *request* is in stored, redacted form."""
    if "method" in request and isinstance(request.get("url"), str) and isinstance(request.get("headers") or {}, dict):
        request = _canonical_http(request, rules)
    for path in rules.paths:
        request = _without(request, path)
    return canonical_secrets(_dumps(request), rules.placeholders, rules.placeholder)


def canonical_request(request: Mapping[str, JSON], rules: KeyRules) -> JSON:
    """Return the compared part of *request*, as a tree whose keys keep their order; headers come last."""
    tree = _in_order_of(request, json.loads(canonical_text(request, rules)))
    if isinstance(tree, dict) and "headers" in tree and "url" in tree:
        tree["headers"] = tree.pop("headers")
    return tree


def match_key(text: str) -> str:
    """Return the digest that the cassette has for a canonical *text*, 16 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def normalise_parts(request: dict[str, JSON], content_type: str) -> str:
    """Take the random boundary out of the multipart body of *request*; return the content type without it."""
    if isinstance(request.get("text"), str):
        body, content_type = normalise_multipart(request["text"].encode("utf-8", "surrogatepass"), content_type)
        request["text"] = body.decode("utf-8", "surrogatepass")
    elif "body_b64" in request:
        try:
            body, content_type = normalise_multipart(decode_body(request), content_type)
        except CassetteCorruptError:  # edited by hand; it equals no request
            return content_type
        request.update(encode_binary(body))
    return content_type


def _canonical_http(request: Mapping[str, JSON], rules: KeyRules) -> dict[str, JSON]:
    headers = {name.lower(): value for name, value in (request.get("headers") or {}).items()}
    content_type = headers.get("content-type")
    canonical = {key: value for key, value in request.items() if key not in _SAYS_HOW}
    canonical = without_layout(canonical, content_type if isinstance(content_type, str) else None)
    if rules.volatile and isinstance(canonical.get("json"), dict):
        canonical["json"] = mcp.compared_body(canonical["json"])
    if isinstance(canonical.get("body_b64"), str):
        canonical["body_b64"] = canonical_base64(canonical["body_b64"], rules.placeholders)
    left_out = rules.names | (VOLATILE_PARAMETERS if rules.volatile else frozenset())
    address = _address(request, rules)
    if _has_query(address):
        path = _path_of(request["url"])
        left_out |= {name for at, name in rules.credentials if at == path}
        left_out |= _credentials_in(address, rules)
    canonical["url"] = _canonical_url(address, left_out)
    if isinstance(content_type, str):
        if content_type.lower().startswith("multipart/"):
            content_type = normalise_parts(canonical, content_type)
        headers["content-type"] = content_type.partition(";")[0].strip().lower()
    canonical["headers"] = {
        name: value for name, value in headers.items() if rules.compares(name) and name not in _SIGNATURE
    }
    return canonical


def _address(request: Mapping[str, JSON], rules: KeyRules) -> str:
    """Return the URL of *request*, from its path on if what is before it is not compared."""
    url: str = request["url"]
    if rules.base_url or not is_llm_path(str(request["method"]), url):
        return url
    return url.partition("://")[2].partition("/")[2]


@lru_cache(maxsize=1024)
def _canonical_url(url: str, left_out: frozenset[str]) -> str:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:  # such as an unmatched bracket; it equals only itself
        return url
    port = _explicit_port(parts.scheme, host, parts.netloc)
    pairs = parse_qsl(parts.query, keep_blank_values=True, errors="surrogateescape")
    # The values of one name keep their order, in which a route visits its points.
    query = sorted((pair for pair in pairs if pair[0].lower() not in left_out), key=itemgetter(0))
    # Brackets stay bare, so placeholders of secrets are still recognised.
    text = urlencode(query, quote_via=quote, safe="[]#:*", errors="surrogateescape")
    return f"{parts.scheme.lower()}://{host}{port}{parts.path or '/'}{'?' + text if text else ''}"


def _explicit_port(scheme: str, host: str, netloc: str) -> str:
    if is_local(host):
        return ""
    tail = netloc.rpartition("@")[2].rpartition("]")[2].partition(":")[2]
    return "" if not tail or tail == str(_DEFAULT_PORTS.get(scheme)) else f":{tail}"


def _in_order_of(original: JSON, tree: JSON, depth: int = 0) -> JSON:
    """Return *tree* with its keys in the order of *original*."""
    if depth > _MAX_ORDERED_DEPTH:
        return tree
    if isinstance(original, Mapping) and isinstance(tree, dict):
        names = [key for key in original if key in tree]
        return {key: _in_order_of(original.get(key), tree[key], depth + 1) for key in dict.fromkeys([*names, *tree])}
    if isinstance(original, list) and isinstance(tree, list) and len(original) == len(tree):
        return [_in_order_of(before, after, depth + 1) for before, after in zip(original, tree, strict=True)]
    return tree


def _has_query(url: str) -> bool:
    return "?" in url


def _path_of(url: str) -> str:
    """Return the path of *url*: hosts and ports may differ."""
    return url.partition("://")[2].partition("?")[0].partition("/")[2]


def _parameters_of(url: str) -> frozenset[str]:
    query = url.partition("?")[2].partition("#")[0]
    return frozenset(name.lower() for name, _ in parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))


def _credentials_in(url: str, rules: KeyRules) -> frozenset[str]:
    """Return the names of the query parameters that hold a secret."""
    query = url.partition("?")[2].partition("#")[0]
    is_default = rules.placeholder == PLACEHOLDER
    if is_default and "REDACTED" not in query and "*" not in query and "%2" not in query:
        return frozenset()
    pairs = parse_qsl(query, errors="surrogateescape")
    held = (name for name, value in pairs if is_placeholder(value, rules.placeholders, rules.placeholder))
    return frozenset(map(str.lower, held))


def _split_path(field: str) -> tuple[str, ...]:
    steps = [step for step in field.replace("[", ".").replace("]", "").split(".") if step]
    if steps[-1:] == ["**"]:  # removing the children removes everything below them
        steps[-1] = "*"
    if steps[:1] == ["headers"]:
        steps[1:2] = [step.lower() for step in steps[1:2]]
    return tuple(steps)


def _without(node: JSON, path: tuple[str, ...]) -> JSON:
    """Return *node* without what *path* points to; unchanged parts are shared."""
    step, rest = path[0], path[1:]
    if step == "**":
        node = _without(node, rest) if rest else node
        return _map_children(node, lambda child: _without(child, path))
    if isinstance(node, dict):
        return _without_key(node, step, rest)
    if isinstance(node, list):
        return _without_item(node, step, rest)
    return node


def _without_key(node: dict[str, JSON], step: str, rest: tuple[str, ...]) -> dict[str, JSON]:
    chosen = node.keys() if step == "*" else {step} & node.keys()
    if not chosen:
        return node
    if not rest:
        return {key: value for key, value in node.items() if key not in chosen}
    return {key: _without(value, rest) if key in chosen else value for key, value in node.items()}


def _without_item(node: list[JSON], step: str, rest: tuple[str, ...]) -> list[JSON]:
    chosen = _positions(step, len(node))
    if not rest:
        return [None if position in chosen else item for position, item in enumerate(node)]
    return [_without(item, rest) if position in chosen else item for position, item in enumerate(node)]


def _positions(step: str, length: int) -> Container[int]:
    """Return which items of a list *step* means; a negative one counts from the end."""
    if step == "*":
        return range(length)
    if not re.fullmatch(r"-?[0-9]{1,9}", step):
        return ()
    position = int(step)
    return (position if position >= 0 else position + length,)


def _map_children(node: JSON, change: Callable[[JSON], JSON]) -> JSON:
    if isinstance(node, dict):
        return {key: change(value) for key, value in node.items()}
    if isinstance(node, list):
        return [change(item) for item in node]
    return node
