"""MCP over HTTP: which server a call goes to, as its own name stands only in the answer to an earlier handshake."""

from __future__ import annotations

from typing import TypeAlias
from weakref import WeakKeyDictionary

from pytest_agenttape.model import JSON
from pytest_agenttape.ownership import Owner
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.providers import mcp

# The handshakes of each session, by URL: the answer to one may still be on its way.
_Handshakes: TypeAlias = dict[str, Served | Live]
_handshakes: WeakKeyDictionary[Owner, _Handshakes] = WeakKeyDictionary()


def tool_called(owner: Owner, method: str, url: str, body: JSON) -> str | None:
    """Return the boundary, ``SERVER.TOOL``, of a request with the decoded *body*; None if it calls no tool."""
    if mcp.method_of(method, body) != mcp.CALL_TOOL:
        return None
    tool = mcp.tool_of(body)
    return None if tool is None else f"{_server_at(owner, url)}.{tool}"


def note_handshake(owner: Owner, url: str, body: JSON, call: Served | Live) -> None:
    """Remember *call*, if it is one to which a server answers with its name."""
    if mcp.method_of("POST", body) in mcp.HANDSHAKES:
        _handshakes.setdefault(owner, {})[_place(url)] = call


def _server_at(owner: Owner, url: str) -> str:
    call = _handshakes.get(owner, {}).get(_place(url))
    outcome = call.outcome if call is not None else None
    name = mcp.name_in_answer(outcome.request, outcome.response) if outcome is not None else None
    return name or mcp.name_in_url(url)


def _place(url: str) -> str:
    return url.partition("?")[0]
