"""The places where a test can leave a secret, and the kinds of secrets; docs/appendix/secrets.md has the outcome."""

# ruff: noqa: ARG001, ARG002, ARG005  # a planted value is recorded even if a body ignores it
# ruff: noqa: E501  # the places are a table
from __future__ import annotations

import base64
import gzip
import json
import os
import random
import string
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import anyio
import httpx
import pydantic
import requests

from pytest_agenttape import memory_read, memory_write, record_call, retrieval, tool, use_cassette
from tests.standin import StandInProvider, raw

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def _random(seed: str, length: int, alphabet: str = ALNUM) -> str:
    """Return a random text with at least three digits; created at run time, so no scanner finds it in this file."""
    drawn = "".join(random.Random(seed).choices(alphabet, k=length - 4))
    return f"{drawn[:6]}7{drawn[6:]}042"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of secret.

    Attributes:
        make: Makes the secret of a seed.
        spell: How it is written where it is planted.
        variable: Whether the secret is the value of an environment variable.
        header: Whether it is seen in an Authorization header, ``before`` or ``after`` it is planted.
    """

    make: Callable[[str], str]
    spell: Callable[[str], str] = str
    variable: bool = False
    header: str = ""


def _jwt(seed: str) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"exp": 1781000000, "sub": _random(seed + "sub", 20)})
    head, claims = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{claims}.{_random(seed, 43)}"


def _pem(seed: str) -> str:
    lines = "\n".join(_random(f"{seed}{row}", 63) for row in range(4))
    return f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----"


def _odd(seed: str) -> str:
    return f'{_random(seed, 20)}/+"=\\{_random(seed + "b", 20)}'


def _base64(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()


KINDS: dict[str, Kind] = {
    "OpenAI": Kind(lambda seed: "sk-proj-" + _random(seed, 80)),
    "Anthropic": Kind(lambda seed: "sk-ant-api03-" + _random(seed, 80)),
    "Google": Kind(lambda seed: "AIza" + _random(seed, 35)),
    "AWS": Kind(lambda seed: "AKIA" + _random(seed, 16, string.ascii_uppercase).replace("0", "A").replace("42", "ZZ")),
    "GitHub": Kind(lambda seed: "ghp_" + _random(seed, 36)),
    "Stripe": Kind(lambda seed: "sk_live_" + _random(seed, 24)),
    "JWT": Kind(_jwt),
    "PEM": Kind(_pem),
    "user:password@host": Kind(lambda seed: _random(seed, 20), spell=lambda secret: f"postgres://app:{secret}@db/app"),
    "environment": Kind(_odd, variable=True),
    "environment, base64": Kind(_odd, spell=_base64, variable=True),
    "environment, URL-encoded": Kind(_odd, spell=lambda secret: quote(secret, safe=""), variable=True),
    "environment, JSON-escaped": Kind(_odd, spell=lambda secret: json.dumps(secret)[1:-1], variable=True),
    "header, seen before": Kind(lambda seed: _random(seed, 28), header="before"),
    "header, seen after": Kind(lambda seed: _random(seed, 28), header="after"),
}


@dataclass(slots=True)
class World:
    """The data the planting code needs; the outer tests set it, the inner tests read it.

    Attributes:
        provider: The upstream.
        pairs: What is planted: a place and a kind for each inner test.
        salt: Another salt makes other secrets: keys that were rotated.
        drift: Put before what is planted, so that a replay does not find its recording.
        fails: Whether each inner test fails in the end.
        live: What the inner tests run for real.
    """

    provider: StandInProvider
    pairs: list[tuple[str, str]]
    salt: str = ""
    drift: str = ""
    fails: bool = False
    live: frozenset[str] = frozenset()
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False))

    def secret(self, place: str, kind: str) -> str:
        """Return the secret planted at *place*."""
        return KINDS[kind].make(f"{self.salt}{kind}{place}")

    def environment(self) -> dict[str, str]:
        """Return the variables that hold the secrets, and those kept by `env_snapshot`."""
        variables = {}
        for number, (place, kind) in enumerate(self.pairs):
            secret = self.secret(place, kind)
            if KINDS[kind].variable:
                variables[f"PLANTED_{number}_API_KEY"] = secret
            if place == SNAPSHOT:
                variables["SETTING_OF_TEST"] = f"{self.drift}{KINDS[kind].spell(secret)}"
        return variables

    def plant(self, number: int, handle: Any) -> None:
        """Plant the secret of a pair at the place of that pair."""
        place, name = self.pairs[number]
        kind, secret = KINDS[name], self.secret(place, name)
        self.client.cookies.clear()
        if kind.header == "before":
            self.show(secret)
        PLACES[place](Planter(self, kind, self.drift + kind.spell(secret), handle))
        if kind.header == "after":
            self.show(secret)
        assert not self.fails

    def show(self, secret: str) -> None:
        """Send the secret where it is recognised as one."""
        self.client.get(f"{self.provider.url}/echo", headers={"Authorization": f"Bearer {secret}"})


@dataclass(slots=True)
class Planter:
    """Leaves `text`, which holds the secret, somewhere."""

    world: World
    kind: Kind
    text: str
    handle: Any

    def send(self, path: str = "/taken", method: str = "POST", **options: Any) -> httpx.Response:
        """Send a request to the upstream; its response repeats nothing."""
        self.world.provider.reply(raw(b"taken"), to=path.partition("?")[0])
        return self.world.client.request(method, self.world.provider.url + path, **options)

    def receive(self, body: bytes | list[bytes], content_type: str = "text/plain", **options: Any) -> bytes:
        """Return a response of the upstream."""
        headers = {"Content-Type": content_type, **options.pop("headers", {})}
        self.world.provider.reply(raw(body, headers, **options), to="/given")
        with self.world.client.stream("GET", f"{self.world.provider.url}/given") as response:
            return response.read()

    def chat(self, body: dict[str, Any], answer: dict[str, Any] | None = None) -> None:
        message = answer or {"role": "assistant", "content": "Yes."}
        completion = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "m",
            "choices": [{"index": 0, "message": message}],
        }
        self.world.provider.reply(raw(json.dumps(completion).encode(), {"Content-Type": "application/json"}))
        self.world.client.post(
            f"{self.world.provider.openai_url}/chat/completions", json={"model": "m", "messages": [], **body}
        )

    def stream(self, deltas: list[dict[str, Any]], chunk: int | None = None, **more: Any) -> None:
        """Stream a chat completion of *deltas*, on the wire in chunks of so many bytes."""
        events = [
            {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "model": "m",
                "choices": [{"index": 0, "delta": delta, **more}],
            }
            for delta in deltas
        ]
        wire = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
        chunks = pieces(wire, chunk or len(wire))
        self.world.provider.reply(raw(chunks, {"Content-Type": "text/event-stream"}))
        url = f"{self.world.provider.openai_url}/chat/completions"
        body = {"model": "m", "messages": [], "stream": True}
        with self.world.client.stream("POST", url, json=body) as response:
            response.read()


def pieces(text: Any, size: int) -> list[Any]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@dataclass
class Login:
    user: str
    note: str


class Profile(pydantic.BaseModel):
    note: str


class RefusedError(Exception):
    def __init__(self, message: str, body: object = None) -> None:
        super().__init__(message)
        self.body = body


@tool
def look_up(what: Any, more: Any = None) -> str:
    return "found"


@tool
def connect(host: str, password: str) -> str:
    return "connected"


@tool
def spread_out(*args: Any, **options: Any) -> int:
    return len(args)


@cache
def giving(kind: str) -> Callable[..., Any]:
    """Return a boundary whose result does not come from its arguments."""
    draw = {"retrieval": retrieval, "memory_read": memory_read}.get(kind, tool)

    @draw(name=f"give_{kind}")
    def give(kind: str) -> Any:
        return GIVEN.pop()

    return give


GIVEN: list[Any] = []


def give(value: Any, kind: str = "tool") -> None:
    GIVEN[:] = [value]
    giving(kind)(kind)


@tool
def stream_words(kind: str) -> Generator[Any, None, Any]:
    yield from GIVEN[0]
    return GIVEN[-1]


@tool
async def stream_words_async(kind: str) -> AsyncIterator[Any]:
    for each in GIVEN[0]:
        yield each


@tool
def fail(kind: str) -> None:
    raise GIVEN.pop()


def fails(error: BaseException) -> None:
    GIVEN[:] = [error]
    try:
        fail("now")
    except Exception:  # noqa: BLE001  # an agent goes on
        return


@memory_write
def remember(fact: str) -> None:
    return None


class Account:
    @tool
    def charge(self, card: str) -> str:
        return "charged"


Place: TypeAlias = Callable[[Planter], object]

# -- the places, in the order of the table


def _caused(text: str) -> BaseException:
    error = ValueError("outer")
    error.__cause__ = KeyError(text)
    return error


def _noted(text: str) -> BaseException:
    error = ValueError("outer")
    error.add_note(text)
    return error


def _iterate(items: list[Any], last: Any = None) -> None:
    GIVEN[:] = [items, last]
    for _ in stream_words("now"):
        pass


def _iterate_async(items: list[Any]) -> None:
    GIVEN[:] = [items]

    async def run() -> None:
        async for _ in stream_words_async("now"):
            pass

    anyio.run(run)


def _refused_connection(planter: Planter) -> None:
    try:
        requests.get(f"{planter.world.provider.refused_url}/?api_key={quote(planter.text, safe='')}", timeout=5)
    except requests.ConnectionError:
        return


def _logprobs(text: str) -> dict[str, Any]:
    spelled = [{"token": each, "logprob": -0.1, "bytes": list(each.encode())} for each in pieces(text, 4)]
    return {"logprobs": {"content": spelled}}


def _final_output(planter: Planter) -> None:
    planter.handle.final_output = {"said": planter.text}


def _nested_session(planter: Planter) -> None:
    with use_cassette(Path.cwd() / "cassettes" / "nested.yaml", mode="once", tags=[planter.text]):
        look_up("anything")
        if planter.kind.header:  # a session knows the credentials it has seen
            planter.world.show(planter.text)


SNAPSHOT = "environment snapshot"
PLACES: dict[str, Place] = {
    "request header": lambda p: p.send(headers={"X-Note": f"see {p.text}"}),
    "request header Authorization": lambda p: p.send(headers={"Authorization": f"Bearer {p.text}"}),
    "request header X-Api-Key": lambda p: p.send(headers={"X-Api-Key": p.text}),
    "request header of one's own": lambda p: p.send(headers={"X-Acme-Token": p.text}),
    "cookie sent": lambda p: p.send(headers={"Cookie": f"theme=dark; session={p.text}"}),
    "basic authentication": lambda p: p.send(auth=("ada", p.text)),
    "userinfo of the URL": lambda p: requests.post(p.world.provider.url.replace("://", f"://ada:{quote(p.text, safe='')}@") + "/echo", timeout=5),
    "path of the URL": lambda p: p.send(f"/files/{quote(p.text, safe='')}/now", "GET"),
    "query, any name": lambda p: p.send("/taken", params={"q": f"what is {p.text}?"}),
    "query, a secret's name": lambda p: p.send("/taken", params={"api_key": p.text, "page": "2"}),
    "query, as the name": lambda p: p.send("/taken", params={p.text: "1"}),
    "JSON sent, in a text": lambda p: p.send(json={"a": [1, {"note": f"it is {p.text}."}]}),
    "JSON sent, a secret's name": lambda p: p.send(json={"auth": {"api_key": p.text}}),
    "JSON sent, as a key": lambda p: p.send(json={"seen": {p.text: 1}}),
    "JSON text in JSON sent": lambda p: p.send(json={"arguments": json.dumps({"q": f"use\n{p.text}"})}),
    "JSON text in JSON text in JSON": lambda p: p.send(json={"a": json.dumps({"b": json.dumps({"c": [p.text]})})}),
    "JSON sent, name and value apart": lambda p: p.send(json=[{"name": "API_TOKEN", "value": p.text}]),
    "form, any field": lambda p: p.send(data={"q": f"what is {p.text}", "page": "2"}),
    "form, a secret's name": lambda p: p.send(data={"client_secret": p.text, "scope": "a"}),
    "multipart field": lambda p: p.send(data={"note": p.text}, files={"f": ("a.txt", b"text")}),
    "multipart field, a secret's name": lambda p: p.send(data={"password": p.text}, files={"f": ("a.txt", b"text")}),
    "multipart file, text": lambda p: p.send(files={"f": (".env", f"A=1\nKEY={p.text}\n".encode())}),
    "multipart file, binary": lambda p: p.send(files={"f": ("a.bin", b"\xff\x00" + p.text.encode() + b"\x00\xfe")}),
    "multipart file name": lambda p: p.send(files={"f": (f"{quote(p.text, safe='')}.txt", b"text")}),
    "text sent": lambda p: p.send(content=f"line\nkey {p.text}\n", headers={"Content-Type": "text/plain"}),
    "JSON lines sent": lambda p: p.send(content=f'{{"a": 1}}\n{json.dumps({"b": p.text})}\n', headers={"Content-Type": "application/x-ndjson"}),
    "bytes sent": lambda p: p.send(content=b"\xff\x00" + p.text.encode() + b"\x00", headers={"Content-Type": "application/octet-stream"}),
    "compressed JSON sent": lambda p: p.send(content=gzip.compress(json.dumps({"note": p.text}).encode(), mtime=0), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
    "prompt": lambda p: p.chat({"messages": [{"role": "user", "content": f"My key is {p.text}, is it valid?"}]}),
    "system prompt": lambda p: p.chat({"messages": [{"role": "system", "content": [{"type": "text", "text": p.text}]}]}),
    "tool result in the conversation": lambda p: p.chat({"messages": [{"role": "tool", "tool_call_id": "c", "content": json.dumps({"found": p.text})}]}),
    "description of a tool": lambda p: p.chat({"tools": [{"type": "function", "function": {"name": "f", "description": f"with {p.text}"}}]}),
    "request through requests": lambda p: requests.post(f"{p.world.provider.url}/echo", json={"note": p.text}, timeout=5),
    "message of a failed connection": _refused_connection,
    "response header": lambda p: p.receive(b"", headers={"X-Note": f"see {quote(p.text)}"}),
    "cookie set": lambda p: p.receive(b"", headers={"Set-Cookie": f"session={quote(p.text, safe='')}; Path=/"}),
    "redirect": lambda p: p.receive(b"", headers={"Location": f"/next?token={quote(p.text, safe='')}"}, status=302),
    "JSON received": lambda p: p.receive(json.dumps({"a": {"note": f"it is {p.text}"}}).encode(), "application/json"),
    "JSON received, a secret's name": lambda p: p.receive(json.dumps({"access_token": p.text, "expires_in": 3600}).encode(), "application/json"),
    "JSON received, as a key": lambda p: p.receive(json.dumps({p.text: 1}).encode(), "application/json"),
    "text received": lambda p: p.receive(f"line\n{p.text}\n".encode()),
    "HTML received": lambda p: p.receive(f"<p>Your key: <b>{p.text}</b></p>".encode(), "text/html"),
    "bytes received": lambda p: p.receive(b"\xff\x00" + p.text.encode() + b"\x00", "application/octet-stream"),
    "compressed text received": lambda p: p.receive(gzip.compress(p.text.encode()), headers={"Content-Encoding": "gzip"}),
    "error received": lambda p: p.receive(json.dumps({"error": {"message": f"Incorrect key: {p.text}"}}).encode(), "application/json", status=400),
    "JSON lines received": lambda p: p.receive(b"".join(json.dumps({"m": each}).encode() + b"\n" for each in pieces(f"say {p.text} now", 5)), "application/x-ndjson"),
    "large text received": lambda p: p.receive((f"{'word ' * 20_000}{p.text}{' word' * 20_000}").encode()),
    "large file received": lambda p: p.receive(b"\xff\xfe" * 50_000 + p.text.encode() + b"\x00" * 1_000, "image/png"),
    "answer of a model": lambda p: p.chat({}, {"role": "assistant", "content": f"It is {p.text}."}),
    "tool arguments asked for by a model": lambda p: p.chat({}, {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"q": p.text})}}]}),
    "event": lambda p: p.stream([{"content": f"It is {p.text}."}]),
    "event, split over two chunks": lambda p: p.stream([{"content": f"It is {p.text}."}], chunk=150),
    "events, split over two": lambda p: p.stream([{"content": each} for each in pieces(f"It is {p.text}.", (len(p.text) + 8) // 2)]),
    "events, a few characters each": lambda p: p.stream([{"content": each} for each in pieces(f"It is {p.text}.", 3)]),
    "streamed tool arguments": lambda p: p.stream([{"tool_calls": [{"index": 0, "function": {"arguments": each}}]} for each in pieces(json.dumps({"q": p.text}), 7)]),
    "log probabilities": lambda p: p.stream([{"content": p.text}], **_logprobs(p.text)),
    "events that are no JSON": lambda p: p.receive(f": hello\nevent: a\ndata: key {p.text}\n\n".encode(), "text/event-stream"),
    "argument, by position": lambda p: look_up(p.text),
    "argument, by name": lambda p: look_up(what=1, more=f"with {p.text}"),
    "argument, a secret's name": lambda p: connect("db", p.text),
    "argument, nested": lambda p: look_up({"a": [{"b": (p.text, {p.text})}]}),
    "argument, as a key": lambda p: look_up({p.text: 1, 2: p.text}),
    "argument, dataclass": lambda p: look_up(Login("ada", p.text)),
    "argument, pydantic model": lambda p: look_up(Profile(note=p.text)),
    "argument, bytes": lambda p: look_up(b"\xff " + p.text.encode()),
    "argument, path": lambda p: look_up(Path("/tmp", quote(p.text, safe=""))),
    "arguments, any number": lambda p: spread_out(1, p.text, note=p.text),
    "argument of a method": lambda p: Account().charge(p.text),
    "result": lambda p: give(f"it is {p.text}"),
    "result, nested": lambda p: give({"rows": [{"token": p.text}, [p.text]]}),
    "result, dataclass": lambda p: give(Login("ada", p.text)),
    "result, pydantic model": lambda p: give(Profile(note=p.text)),
    "result, bytes": lambda p: give(b"\xff " + p.text.encode()),
    "result of a retrieval": lambda p: give([{"text": p.text, "score": 0.5}], "retrieval"),
    "result of memory": lambda p: give(p.text, "memory_read"),
    "fact to remember": lambda p: remember(f"the key is {p.text}"),
    "items of a generator": lambda p: _iterate(["a", p.text, {"b": p.text}]),
    "items, a few characters each": lambda p: _iterate(pieces(f"It is {p.text}.", 3)),
    "return of a generator": lambda p: _iterate(["a"], f"so {p.text}"),
    "items of an async generator": lambda p: _iterate_async(pieces(f"It is {p.text}.", 5)),
    "message of an exception": lambda p: fails(ValueError(f"bad key {p.text}!")),
    "arguments of an exception": lambda p: fails(KeyError(p.text, 2)),
    "attribute of an exception": lambda p: fails(RefusedError("refused", {"key": p.text})),
    "note of an exception": lambda p: fails(_noted(p.text)),
    "cause of an exception": lambda p: fails(_caused(p.text)),
    "member of an exception group": lambda p: fails(ExceptionGroup("all", [ValueError(p.text)])),
    "request of record_call": lambda p: record_call("tool", {"q": p.text}, lambda: 1, boundary="custom"),
    "tag of record_call": lambda p: record_call("tool", {"q": 1}, lambda: 1, boundary="custom", tags=[p.text]),
    "tag of a session": _nested_session,
    "final output": _final_output,
    SNAPSHOT: lambda p: os.environ["SETTING_OF_TEST"],
}  # fmt: skip

_ONE_LINE = ("request header", "cookie sent")  # values with several lines cannot be sent there


def pairs(offset: int) -> list[tuple[str, str]]:
    """Return every place paired with one kind; one offset per kind covers all pairs."""
    return [(place, each) for at, place in enumerate(PLACES) if (each := _kind_at(place, at + offset))]


def _kind_at(place: str, turn: int) -> str | None:
    """Return a kind that can be planted at *place*."""
    name = list(KINDS)[turn % len(KINDS)]
    kind = KINDS[name]
    if place == SNAPSHOT and kind.header:  # the variable is set in all tests, but only one sends the header
        return None
    return None if place.startswith(_ONE_LINE) and "\n" in kind.spell(kind.make("")) else name


#: The data for the inner tests; set by the outer test.
worlds: list[World] = []
