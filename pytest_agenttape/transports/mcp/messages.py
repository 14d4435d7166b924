"""MCP's JSON-RPC messages: what one asks for, what of it is compared, who answers. Nothing is sent or decided here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from pytest_agenttape import values
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.mcp import CALL_TOOL, HANDSHAKES, compared_params, tool_result

Message: TypeAlias = dict[str, JSON]

CONNECT = "mcp.connect"
INITIALIZED = "notifications/initialized"
PROGRESS = "notifications/progress"
# About requests that are recorded themselves.
UNRECORDED = frozenset({INITIALIZED, PROGRESS, "notifications/cancelled"})
# The server's questions whose answers say what the agent did; those about its folders and its health differ at will.
COMPARED_ANSWERS = frozenset({"sampling/createMessage", "elicitation/create"})

_LAUNCHERS = re.compile(
    r"(python|pypy|node|npx|npm|pnpm|yarn|bunx?|deno|uvx?|pipx|docker|podman|java|dotnet|ruby|bash|sh|zsh|cmd|pwsh"
    r"|powershell)[0-9.w]*$"
)
_SUBCOMMANDS = frozenset({"run", "exec", "tool", "dlx", "x", "start"})
_TAKES_VALUE = re.compile(
    r"-[ceflprvwHWX]|--(?:env|env-file|volume|mount|name|net|network|user|workdir|publish|platform|entrypoint|label"
    r"|add-host|from|with|with-editable|directory|project|python|index|index-url|default-index|extra-index-url|cache-dir"
    r"|cache|config|config-file|import|import-map|require|loader|package|prefix|registry|header|host|port|log-level)"
    r"|--?.*(?:key|token|secret|pass|auth|cred).*",
    re.IGNORECASE,
)
"""Options of launchers and servers after which comes a value, which may be secret."""
_PLAIN_NUMBER = re.compile(r"[\d.:]+$")
_INTERNAL_ERROR = -32603
_TIMED_OUT = 408  # with which the SDK reports a timeout of its own
ENDED = {"type": "EndOfStream", "module": "anyio", "message": "the server ended without an answer"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request or notification of the client as a session is asked for it."""

    kind: str
    boundary: str
    request: dict[str, JSON]


def parse(line: bytes) -> Message | None:
    """Return the message on *line*; None if it is not one."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def written(message: Mapping[str, JSON]) -> bytes:
    """Return *message* as a line, in ASCII: whoever reads may expect any encoding."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def is_request(message: Mapping[str, JSON]) -> bool:
    """Return whether *message* is to be answered."""
    return isinstance(message.get("method"), str) and message.get("id") is not None


def is_answer(message: Mapping[str, JSON]) -> bool:
    """Return whether *message* answers a request."""
    return "method" not in message and message.get("id") is not None


def program_of(command: str, args: Sequence[str]) -> str:
    """Return what a server is called by how it is started: the script or package, without folders and options."""
    names = [_bare(command), *map(_bare, _operands(args))]
    for name in names:
        if name and not _LAUNCHERS.match(name) and name not in _SUBCOMMANDS:
            return name
    return names[0]


def _operands(args: Sequence[str]) -> Iterator[str]:
    """Yield the words that are neither options nor, as far as can be told, their values, which may be secret."""
    before = ""
    for word in args:
        is_value = _TAKES_VALUE.fullmatch(before) or "=" in word or _PLAIN_NUMBER.match(word)
        if not word.startswith("-") and not is_value:
            yield word
        before = word


def asked(message: Message, program: str, server: str) -> Asked:
    """Return what the client's *message* asks of *server*, which *program* is.

    The request holds what is compared: neither its number, nor what the client library says about itself.
    """
    method, params = str(message["method"]), compared_params(message.get("params"))
    if method in HANDSHAKES:
        return Asked("http", f"mcp.{method}", {"server": program})
    if method == CALL_TOOL and isinstance(params.get("name"), str):
        arguments = values.encode_each(params.pop("arguments", None) or {}, "args")
        return Asked("tool", f"{server}.{params.pop('name')}", {"args": arguments, **params})
    return Asked("http", f"{server}.{method}", {"params": params} if params else {})


def progress_token(message: Message) -> JSON:
    """Return the token under which the server reports on the client's request *message*."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta.get("progressToken") if isinstance(meta, dict) else None


def reported_token(message: Message) -> JSON:
    """Return the token that a report of the server's is about; None if *message* is not one."""
    params = message.get("params")
    return params.get("progressToken") if message.get("method") == PROGRESS and isinstance(params, dict) else None


def stored(message: Message) -> Message:
    """Return what the server sent unasked as a recording holds it: without the numbers of this run."""
    kept: Message = {"method": message["method"]}
    if "params" in message:
        kept["params"] = message["params"]
    if reported_token(message) is not None:
        kept["params"] = {name: each for name, each in kept["params"].items() if name != "progressToken"}
    return kept


def said_again(recorded: Mapping[str, JSON], *, number: JSON, token: JSON) -> Message:
    """Return a `stored` message as the server would send it now: as request *number*, about *token*."""
    message: Message = {"jsonrpc": "2.0", "method": recorded["method"]}
    if "params" in recorded:
        message["params"] = recorded["params"]
    if recorded["method"] == PROGRESS:
        message["params"] = {"progressToken": token, **message.get("params", {})}
    if number is not None:
        message["id"] = number
    return message


def outcome_of(answer: Message) -> Message:
    """Return an answer without its number: ``{"result": ...}`` or ``{"error": ...}``."""
    return {name: answer[name] for name in ("result", "error") if name in answer}


def answer_again(number: JSON, response: JSON, error: Mapping[str, JSON] | None) -> Message:
    """Return what was recorded of an answer as the answer to request *number*."""
    if error is None:
        return {"jsonrpc": "2.0", "id": number, "result": response}
    about = {"code": error.get("code", _INTERNAL_ERROR), "message": str(error.get("message", ""))}
    return {"jsonrpc": "2.0", "id": number, "error": {**about, **({"data": error["data"]} if "data" in error else {})}}


def made_up_answer(recorded: Interaction) -> Interaction:
    """Return what a fault makes up as a server says it: a tool that raises says so in its result."""
    error = recorded.error or {}
    if error.get("type") in ("ConnectionRefusedError", "ConnectionResetError"):
        return replace(recorded, error=ENDED)
    if error.get("type") == "TimeoutError":
        return replace(recorded, error={**error, "code": _TIMED_OUT})
    if recorded.kind != "tool":
        return recorded
    said = str(error.get("message")) if error else values.decode(recorded.response)
    result = values.encode(tool_result(said, is_error=bool(error)), "result")
    return replace(recorded, error=None, response=result)


def refusal(number: JSON, error: AgentTapeError) -> Message:
    """Return the answer to a request that got none: the agent sees *error* as the server's."""
    return {"jsonrpc": "2.0", "id": number, "error": {"code": _INTERNAL_ERROR, "message": f"agenttape: {error}"}}


def _bare(word: str) -> str:
    if word.startswith("@"):  # a scoped package of npm
        return word
    return os.path.basename(word.replace("\\", "/").rstrip("/")).removesuffix(".exe")
