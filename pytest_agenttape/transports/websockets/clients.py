"""websockets: its asyncio and its sync client.

In replay, the client speaks to `websockets_server` through a pair of sockets, so that all that it does besides is real.

Third-party privates used here: websockets 15.0-16.1 `asyncio.client.connect.connection_kwargs`, and the code of the
function `sync.client.connect`; websockets 17.0-17.4 `asyncio.client.connect.create_connection_kwargs` and `ws_uri`, and
`sync.client.reconnect` with `connect`, `sock` and `ws_uri`.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.protocol import CLOSED

from pytest_agenttape import ownership
from pytest_agenttape.bodies import encode_body
from pytest_agenttape.bodies.messages import header
from pytest_agenttape.libraries import Library
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.process.waits import until_cancelled
from pytest_agenttape.transports.pacing import LONGEST_WAIT
from pytest_agenttape.transports.websocket import replay as websocket_replay
from pytest_agenttape.transports.websocket import tape as websocket_tape
from pytest_agenttape.transports.websocket.tape import Closed, Recording
from pytest_agenttape.transports.websockets import server as websockets_server
from pytest_agenttape.transports.websockets.connection import ASYNC, SYNC, TAPE, attach

_WEBSOCKETS = Library("websockets", seen="15.0-17.4")
_OURS = "__agenttape__"  # marks what we have patched
_PLACES = ("sock", "unix", "path", "proxy", "ssl", "ssl_context", "proxy_ssl", "server_hostname")
_CALLED = "_agenttape_connect"
_KWARGS = ("create_connection_kwargs", "connection_kwargs")  # of 17 and of 16


def install(library: str) -> None:
    """Patch how *library*, one of the two clients, opens a connection, and how that receives, sends and closes."""
    module: Any = sys.modules[library]
    connection = module.ClientConnection
    is_async = library == "websockets.asyncio.client"
    if getattr(module.connect, "__module__", None) != library:
        return  # a stand-in of the user's
    _WEBSOCKETS.require(connection, "recv", "recv_streaming", "send", "close")
    if is_async:
        if not set(_KWARGS) & set(module.connect.__init__.__code__.co_names):
            raise _WEBSOCKETS.lacks(f"asyncio.client.connect.{_KWARGS[0]}")
        _patch(module.connect, "__await__", _opening_async)
    elif hasattr(module, "reconnect"):
        _patch(module.reconnect, "connect", _opening_sync)
    else:
        _rebind(module.connect)
    for name, wrap in (ASYNC if is_async else SYNC).items():
        _patch(connection, name, wrap)


def _patch(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    _WEBSOCKETS.require(owner, name)
    real = getattr(owner, name)
    if not hasattr(real, _OURS):
        ours = functools.update_wrapper(wrap(real), real)
        setattr(ours, _OURS, True)
        setattr(owner, name, ours)


def _rebind(function: Any) -> None:
    """Let *function*, which opens a connection before 17.1, call ours: users have it by name, imported long before."""
    space = function.__globals__
    if _CALLED in space:
        return
    real = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__)
    real.__kwdefaults__ = function.__kwdefaults__
    space[_CALLED] = _opening_by_function(real)
    function.__code__ = _call_ours.__code__
    function.__wrapped__ = real  # its signature


def _call_ours(*args: Any, **named: Any) -> Any:
    """Only its code is used, as that of a function of the library."""
    return _agenttape_connect(*args, **named)  # type: ignore[name-defined]  # noqa: F821  # in the library's module


# Opening ----------------------------------------------------------------------------------------------------------


def _begin(url: str, headers: Any, user_agent: str | None) -> tuple[ownership.Scope, Served | Live] | None:
    __tracebackhide__ = True
    found = ownership.current(lambda: url)
    if found is None or found.is_aside or found.owner.admits("GET", url):
        return None
    listed = tuple((name, str(value)) for name, value in Headers(headers or {}).raw_items())
    if user_agent is not None and header(listed, "user-agent") is None:
        listed = (*listed, ("User-Agent", user_agent))
    return found, websocket_tape.begin(found, url, listed)


@contextmanager
def _for_real(found: ownership.Scope, live: Live) -> Iterator[Callable[[Any], Any]]:
    """Return a block that opens a connection, and what takes it."""

    def opened(connection: Any) -> Any:
        response = connection.response
        answer = _answered(response)
        return attach(connection, Recording(live, answer, lambda: _closed(connection)))

    try:
        with ownership.within(ownership.Scope(found.owner, live, is_aside=True)):
            yield opened
    except BaseException as error:
        websocket_tape.keep_failure(live, error, _refused(error))
        raise


def _refused(error: BaseException) -> dict[str, Any] | None:
    """Return the answer of a server that did not open the connection, as a cassette stores it."""
    if not isinstance(error, InvalidStatus):
        return None
    response = error.response
    content_type = response.headers.get("content-type")
    body = encode_body(bytes(response.body or b""), content_type)
    return {**_answered(response), **body}


def _answered(response: Any) -> dict[str, Any]:
    headers = (each for each in response.headers.raw_items() if each[0].lower() != "sec-websocket-extensions")
    return websocket_tape.opening_answer(response.status_code, tuple(headers))


def _closed(connection: Any) -> Closed | None:
    protocol = connection.protocol
    if protocol.state is not CLOSED:
        return None
    tape = getattr(connection, TAPE)
    is_servers = protocol.close_rcvd_then_sent
    if is_servers is None:  # lost, without a word
        is_servers = not tape.has_left
    return Closed(protocol.close_code, protocol.close_reason or "", "server" if is_servers else "agent")


def _opening_async(real: Any) -> Any:
    @types.coroutine
    def awaited(self: Any) -> Any:
        return (yield from real(self))

    async def opened(self: Any) -> Any:
        __tracebackhide__ = True
        begun = _begin(self.uri, self.additional_headers, self.user_agent_header)
        if begun is None:
            return await awaited(self)
        found, call = begun
        if isinstance(call, Live):
            with _for_real(found, call) as take:
                return take(await awaited(self))
        if websocket_replay.is_never_opened(call):
            await until_cancelled(LONGEST_WAIT)
        tape = websocket_replay.play(call)
        options = next(name for name in _KWARGS if isinstance(getattr(self, name, None), dict))
        with _changed(self, **{options: {"sock": websockets_server.start(tape)}, **_without_tls(self)}):
            connection = await awaited(self)
        return attach(connection, tape)

    def __await__(self: Any) -> Any:
        return opened(self).__await__()

    return __await__


def _opening_sync(real: Any) -> Any:
    def connect(self: Any) -> Any:
        __tracebackhide__ = True
        begun = _begin(self.uri, self.additional_headers, self.user_agent_header)
        if begun is None:
            return real(self)
        found, call = begun
        if isinstance(call, Live):
            with _for_real(found, call) as take:
                return take(real(self))
        tape = websocket_replay.play(call)
        with _changed(self, sock=websockets_server.start(tape), **_without_tls(self)):
            connection = real(self)
        return attach(connection, tape)

    return connect


def _opening_by_function(real: Any) -> Any:
    def connect(uri: str, **options: Any) -> Any:
        __tracebackhide__ = True
        headers, default = options.get("additional_headers"), real.__kwdefaults__.get("user_agent_header")
        begun = _begin(uri, headers, options.get("user_agent_header", default))
        if begun is None:
            return real(uri, **options)
        found, call = begun
        if isinstance(call, Live):
            with _for_real(found, call) as take:
                return take(real(uri, **options))
        tape = websocket_replay.play(call)
        kept = {name: value for name, value in options.items() if name not in _PLACES}
        ours = {"sock": websockets_server.start(tape), "unix": True, "proxy": None}
        connection = real(_plain(uri), **kept, **ours)
        return attach(connection, tape)

    return connect


def _without_tls(connect: Any) -> dict[str, Any]:
    """Return the attributes of *connect* that make it speak to a server of ours."""
    uri: dict[str, Any] = {"uri": _plain(connect.uri)}
    return {**uri, "ws_uri": replace(connect.ws_uri, secure=False)} if hasattr(connect, "ws_uri") else uri


def _plain(uri: str) -> str:
    return "ws" + uri[uri.index("://") :]


@contextmanager
def _changed(target: Any, **attributes: Any) -> Iterator[None]:
    before = {name: getattr(target, name) for name in attributes}
    vars(target).update(attributes)
    try:
        yield
    finally:
        vars(target).update(before)
