"""MCP over stdio: the client's server process, which in replay is not started.

Third-party private used here: mcp 1.30-2.3 `client.stdio._create_platform_compatible_process`, whose result has to be
an `anyio.abc.Process`, with `_process` where asyncio's own is looked for.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from pytest_agenttape import ownership
from pytest_agenttape.libraries import Library
from pytest_agenttape.ownership.calls import Live
from pytest_agenttape.ownership.turns import pause
from pytest_agenttape.process import child_processes
from pytest_agenttape.transports.mcp import connection as mcp_connection
from pytest_agenttape.transports.mcp import messages as mcp_messages
from pytest_agenttape.transports.mcp.connection import Connection
from pytest_agenttape.transports.mcp.messages import Message

_MCP = Library("mcp", seen="1.30-2.3")
_NAME = "_create_platform_compatible_process"
_NO_PID = 2**30  # of no process: the client may send signals to it

_Start: TypeAlias = Callable[[], Awaitable[Process]]


def install(library: str) -> None:
    """Let each server that *library*, mcp's stdio client, starts be one that a session knows."""
    module: Any = sys.modules[library]
    _MCP.require(module, _NAME)
    if not _is_used(module):
        raise _MCP.lacks(f"stdio_client that calls {_NAME}")
    real = getattr(module, _NAME)
    if not hasattr(real, "__agenttape__"):
        setattr(module, _NAME, _recorded(real))


def _is_used(module: Any) -> bool:
    """Return whether the client starts its servers through what is patched; a mock of the user's starts none."""
    client = inspect.unwrap(module.stdio_client)
    code = getattr(client, "__code__", None)
    return code is None or client.__module__ != module.__name__ or _NAME in code.co_names


def _recorded(real: Callable[..., Awaitable[Process]]) -> Callable[..., Awaitable[Process]]:
    @functools.wraps(real)
    async def create(command: str, args: Any, *others: Any, **named: Any) -> Process:
        __tracebackhide__ = True
        program = mcp_messages.program_of(command, args)
        server = _Server(program, functools.partial(real, command, args, *others, **named))
        found = ownership.current()
        call = mcp_connection.connect(found, program) if found is not None else None
        if found is None or not isinstance(call, Live):
            await server.open(start=call is None)
            return server
        try:
            with ownership.within(ownership.Scope(found.owner, call)):
                await server.open(start=True)
        except Exception as error:
            mcp_connection.started(call, error)
            raise
        mcp_connection.started(call)
        return server

    create.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return create


class _Server(Process):
    """A server that is running, or that is replayed; one that is replayed may still be started for a live call."""

    def __init__(self, program: str, start: _Start) -> None:
        self._start = start
        self._real: Process | None = None
        self._code: int | None = None
        self._output = _Output(self)
        self._input = _Input(self)
        self.connection = Connection(program, self._output.put, self._output.wake)
        self.is_shut = False  # by the client

    async def open(self, *, start: bool) -> None:
        """Start it for real, or let it seem to be."""
        if start and self._real is None:
            self._real = await self._start()
            child_processes.leave_free(self._real.pid)
            self._output.wake()

    async def send(self, line: bytes, scope: ownership.Scope | None) -> None:
        """Send *line* to the real server; one that did not run so far is told what the client said before."""
        with ownership.within(scope):
            if self._real is None:
                await self._open_late()
            await self._write(line)

    async def _open_late(self) -> None:
        await self.open(start=True)
        for message in tuple(self.connection.opening):
            await self._write(mcp_messages.written(message))
            if mcp_messages.is_request(message):
                await self._output.hide(message["id"]).wait()

    async def _write(self, line: bytes) -> None:
        assert self._real is not None
        assert self._real.stdin is not None
        await self._real.stdin.send(line)

    @property
    def real(self) -> Process | None:
        """The process, if there is one."""
        return self._real

    def shut(self) -> None:
        """The client closes the server's input: a replayed one ends."""
        self.is_shut = True
        if self._real is None:
            self._end(0)

    def _end(self, code: int) -> None:
        self._code = code if self._code is None else self._code
        self._output.put(None)

    # What the client asks of a process

    async def wait(self) -> int:
        if self._real is not None:
            return await self._real.wait()
        while self._code is None:
            await self._output.changed()
        return self._code

    def terminate(self) -> None:
        self._real.terminate() if self._real is not None else self._end(-15)

    def kill(self) -> None:
        self._real.kill() if self._real is not None else self._end(-9)

    def send_signal(self, signal: Any) -> None:
        self._real.send_signal(signal) if self._real is not None else self._end(-int(signal))

    @property
    def pid(self) -> int:
        return self._real.pid if self._real is not None else _NO_PID

    @property
    def returncode(self) -> int | None:
        return self._real.returncode if self._real is not None else self._code

    @property
    def stdin(self) -> ByteSendStream:
        return self._input

    @property
    def stdout(self) -> ByteReceiveStream:
        return self._output

    @property
    def stderr(self) -> ByteReceiveStream | None:
        return self._real.stderr if self._real is not None else None

    @property
    def _process(self) -> Any:
        return getattr(self._real, "_process", None)

    async def aclose(self) -> None:
        self.shut()
        if self._real is not None:
            await self._real.aclose()
        await self._output.aclose()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self._real is None:
            raise AttributeError(name)
        return getattr(self._real, name)


class _Input(ByteSendStream):
    """What the client writes to."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._rest = b""

    async def send(self, item: bytes) -> None:
        if self._server.is_shut:
            raise anyio.ClosedResourceError
        *lines, self._rest = (self._rest + item).split(b"\n")
        for line in lines:
            message = mcp_messages.parse(line)
            route = self._server.connection.said(message) if message is not None else None
            if route is not None and (route.starts or self._server.real is not None):
                await self._server.send(line + b"\n", route.scope)

    async def aclose(self) -> None:
        real = self._server.real
        self._server.shut()
        if real is not None and real.stdin is not None:
            await real.stdin.aclose()
        await anyio.lowlevel.checkpoint()


class _Output(ByteReceiveStream):
    """What the client reads from: the real server, and what recordings say in between."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._ready: deque[bytes] = deque()
        self._rest = b""
        self._has_ended = self._is_closed = False
        self._changed = anyio.Event()
        self._hidden: dict[Any, anyio.Event] = {}

    def put(self, message: Message | None) -> None:
        """Take what a recording says; None where it says that the server ended."""
        if message is None:
            self._has_ended = True
        else:
            self._ready.append(mcp_messages.written(message))
        self.wake()

    def hide(self, number: Any) -> anyio.Event:
        """Keep the real answer to request *number* from the client, which has one; return what says that it came."""
        return self._hidden.setdefault(number, anyio.Event())

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def changed(self) -> None:
        """Wait until something has happened."""
        await self._changed.wait()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while not self._ready:
            if self._is_closed:
                raise anyio.ClosedResourceError
            if self._has_ended:
                raise anyio.EndOfStream
            await self._wait()
        line = self._ready.popleft()
        if len(line) > max_bytes:
            self._ready.appendleft(line[max_bytes:])
        return line[:max_bytes]

    async def _wait(self) -> None:
        connection, real = self._server.connection, self._server.real
        if connection.has_queued:
            await self._take_turns()
            return
        longest = connection.longest_wait()
        with anyio.move_on_after(longest) as waiting:
            if real is None or real.stdout is None:
                await self._changed.wait()
            else:
                await self._read(real.stdout)
        if waiting.cancelled_caught:
            connection.waited_in_vain()

    async def _take_turns(self) -> None:
        """Wait for the turn of a recorded answer."""
        connection, rounds = self._server.connection, 0
        while connection.has_queued and not self._ready and not self._is_closed:
            connection.play_due()
            await pause(rounds)
            rounds += 1

    async def _read(self, real: ByteReceiveStream) -> None:
        """Wait for the real server to say something, or for something to come from a recording."""
        failures: list[Exception] = []
        async with anyio.create_task_group() as both:

            async def listen() -> None:
                try:
                    self._take(await real.receive())
                except (anyio.EndOfStream, anyio.ClosedResourceError):
                    self._end()
                except Exception as error:  # noqa: BLE001  # raised below, not in a group
                    failures.append(error)
                both.cancel_scope.cancel()

            both.start_soon(listen)
            await self._changed.wait()
            both.cancel_scope.cancel()
        if failures:
            raise failures[0]

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = mcp_messages.parse(line)
            if message is not None and message.get("id") in self._hidden and mcp_messages.is_answer(message):
                self._hidden.pop(message["id"]).set()
                continue
            if message is not None:
                self._server.connection.heard(message)
            self._ready.append(line + b"\n")

    def _end(self) -> None:
        self._has_ended = True
        self._server.connection.ended(by_client=self._server.is_shut)
        for event in self._hidden.values():
            event.set()

    async def aclose(self) -> None:
        self._is_closed = True
        self.wake()
        real = self._server.real
        if real is not None and real.stdout is not None:
            await real.stdout.aclose()
        await anyio.lowlevel.checkpoint()
