"""claude-agent-sdk: the program of Claude Code that it talks to, which in replay is neither looked for nor started.

Third-party privates used here: claude-agent-sdk 0.2.189 `_internal.transport.subprocess_cli.SubprocessCLITransport`,
with the methods of its public `Transport`, `_options` and `_process`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import sys
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeAlias

from pytest_agenttape import ownership
from pytest_agenttape.errors import AgentTapeError, AgentTapeWarning
from pytest_agenttape.libraries import Library
from pytest_agenttape.ownership.calls import Live
from pytest_agenttape.process import child_processes
from pytest_agenttape.process.waits import is_in_asyncio
from pytest_agenttape.transports.claude import messages as claude_messages
from pytest_agenttape.transports.claude import recording as claude_recording
from pytest_agenttape.transports.claude.conversation import Conversation, Route
from pytest_agenttape.transports.mcp import messages as mcp_messages
from pytest_agenttape.transports.mcp.messages import Message

_SDK = Library("claude-agent-sdk", seen="0.2.189")
_NAME = "SubprocessCLITransport"
_OURS = "__agenttape__"  # on a method of ours, and on a transport that is connected
_LAST_WORDS = 1.0  # seconds in which the pipes of a program that has ended are read to their end

_Method: TypeAlias = Callable[..., Any]


def install(library: str) -> None:
    """Let each program that *library*, claude-agent-sdk's transport, starts be one that a session knows."""
    module: Any = sys.modules[library]
    _SDK.require(module, _NAME)
    transport = getattr(module, _NAME)
    _SDK.require(transport, *_METHODS)
    if "_options" not in transport.__init__.__code__.co_names:
        raise _SDK.lacks(f"{_NAME}._options")
    if hasattr(transport.connect, _OURS):
        return
    real = {name: getattr(transport, name) for name in _METHODS}
    for name, method in _METHODS.items():
        made = functools.wraps(real[name])(method(real))
        setattr(made, _OURS, True)
        setattr(transport, name, made)


def _connecting(real: dict[str, _Method]) -> _Method:
    async def connect(transport: Any) -> None:
        __tracebackhide__ = True
        found = ownership.current()
        if _of(transport) is not None or not is_in_asyncio(asyncio):
            _refuse_elsewhere(found)
            await real["connect"](transport)
            return
        program = _Program(transport, real)
        await program.connect(found)
        setattr(transport, _OURS, program)

    return connect


def _refuse_elsewhere(found: ownership.Scope | None) -> None:
    if found is not None and not is_in_asyncio(asyncio):
        raise found.owner.refuse(
            AgentTapeError("claude-agent-sdk is recorded and replayed under asyncio only; nothing was started")
        )


def _writing(real: dict[str, _Method]) -> _Method:
    async def write(transport: Any, data: str) -> None:
        __tracebackhide__ = True
        program = _of(transport)
        if program is None:
            _refuse_elsewhere(ownership.current())
            await real["write"](transport, data)
        else:
            await program.write(data)

    return write


def _ending(real: dict[str, _Method]) -> _Method:
    async def end_input(transport: Any) -> None:
        program = _of(transport)
        if program is None or program.is_real:
            await real["end_input"](transport)
        else:
            program.end_input()

    return end_input


def _reading(real: dict[str, _Method]) -> _Method:
    def read_messages(transport: Any) -> AsyncIterator[Message]:
        program = _of(transport)
        messages: AsyncIterator[Message] = real["read_messages"](transport) if program is None else program.read()
        return messages

    return read_messages


def _closing(real: dict[str, _Method]) -> _Method:
    async def close(transport: Any) -> None:
        program = _of(transport)
        if program is None:
            await real["close"](transport)
            return
        delattr(transport, _OURS)
        await program.close()

    return close


def _asking(real: dict[str, _Method]) -> _Method:
    def is_ready(transport: Any) -> bool:
        program = _of(transport)
        return bool(real["is_ready"](transport)) if program is None or program.is_real else not program.has_ended

    return is_ready


_METHODS: dict[str, Callable[[dict[str, _Method]], _Method]] = {
    "connect": _connecting,
    "write": _writing,
    "end_input": _ending,
    "read_messages": _reading,
    "close": _closing,
    "is_ready": _asking,
}


def _of(transport: Any) -> _Program | None:
    program: _Program | None = vars(transport).get(_OURS)
    return program


class _Program:
    """A program that is running, or that is replayed; one that is replayed may still be started for a live prompt."""

    def __init__(self, transport: Any, real: dict[str, _Method]) -> None:
        self._transport = transport
        self._real = real
        self._options = transport._options
        self._ready: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._hidden: set[str] = set()
        self._listening: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self.has_ended = False
        self._is_closed = self._has_input_ended = False  # by the agent
        self.conversation = Conversation(claude_messages.compared_options(self._options), self)

    @property
    def is_real(self) -> bool:
        """Whether it runs."""
        return self._listening is not None

    # -- what the agent asks of it

    async def connect(self, found: ownership.Scope | None) -> None:
        __tracebackhide__ = True
        if found is None:
            await self._start()
            return
        call = self.conversation.connect(found)
        if not isinstance(call, Live):
            return
        try:
            with ownership.within(ownership.Scope(found.owner, call)):
                await self._start(call.recorder.model_override)
        except Exception as error:
            claude_recording.failed(call, error)
            raise
        self.conversation.recording.start(call)

    async def write(self, data: str) -> None:
        __tracebackhide__ = True
        for line in filter(None, data.split("\n")):
            message = mcp_messages.parse(line.encode())
            try:
                route = self.conversation.said(message) if message is not None else None
            except Exception as error:
                self.hear_end(error)  # the SDK may keep it from the agent
                raise
            if route is not None:
                await self._send(line, route)

    async def _send(self, line: str, route: Route) -> None:
        __tracebackhide__ = True
        try:
            with ownership.within(route.scope):
                if not self.is_real and route.live is not None:
                    await self._start_late(route.live.recorder.model_override)
                if self.is_real:
                    if route.hides is not None:
                        self._hidden.add(route.hides)
                    await self._real["write"](self._transport, f"{line}\n")
        except Exception as error:
            if route.live is not None:
                claude_recording.failed(route.live, error)
            if not self.is_real:
                self.hear_end(error)
            raise

    def end_input(self) -> None:
        """The agent will write no more: a replayed program that has said everything ends."""
        self._has_input_ended = True
        self._changed.set()

    async def read(self) -> AsyncIterator[Message]:
        while True:
            while self._ready:
                yield self._ready.popleft()
            if self.has_ended:
                break
            await self._wait()
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        self._is_closed = True
        self.conversation.recording.closed()
        try:
            if self._listening is not None:
                await self._real["close"](self._transport)
                await asyncio.wait([self._listening], timeout=_LAST_WORDS)
        finally:
            self.hear_end(None)
            if self._listening is not None:
                self._listening.cancel()
        for tool in self.conversation.recording.unrecorded:
            warnings.warn(
                f"{tool}: nothing recorded this tool, which Claude Code called in this process, and replay runs it "
                "again; put agenttape's @tool below the @tool of claude-agent-sdk to replay it",
                AgentTapeWarning,
                stacklevel=2,
            )

    # -- what a recorded program says

    def hear(self, message: Message) -> None:
        self._ready.append(message)
        self._changed.set()

    def hear_error_line(self, line: str) -> None:
        if self._options.stderr is not None:
            with suppress(Exception):  # as the SDK does
                self._options.stderr(line)

    def hear_end(self, error: BaseException | None) -> None:
        if not self.has_ended:
            self.has_ended, self._error = True, error
        self._changed.set()

    async def _wait(self) -> None:
        """Wait until there is something to read."""
        if not self.is_real and self._has_input_ended and self.conversation.replay.is_said:
            self.hear_end(None)
            return
        self._changed.clear()
        longest = None if self.is_real else self.conversation.replay.longest_wait()
        try:
            await asyncio.wait_for(self._changed.wait(), longest)
        except TimeoutError:
            self.hear_end(self.conversation.replay.waited_in_vain())

    # -- the real program

    async def _start(self, model: str | None = None) -> None:
        changed: dict[str, Any] = {} if model is None else {"model": model}
        if self._options.stderr is not None:
            changed["stderr"] = functools.partial(self._heard_error_line, ownership.bound())
        self._transport._options = dataclasses.replace(self._options, **changed)
        await self._real["connect"](self._transport)
        child_processes.leave_free(getattr(getattr(self._transport, "_process", None), "pid", 0))
        self._listening = asyncio.ensure_future(self._listen())

    async def _start_late(self, model: str | None) -> None:
        await self._start(model)
        self._changed.set()  # whoever reads waits for the real one now
        for message in self.conversation.opening:
            self._hidden.add(claude_messages.number_of(message))
            await self._real["write"](self._transport, mcp_messages.written(message).decode())

    async def _listen(self) -> None:
        try:
            async for message in self._real["read_messages"](self._transport):
                self._heard(message)
        except Exception as error:  # noqa: BLE001  # raised where the agent reads
            self._heard_end(error)
        else:
            self._heard_end(None)

    def _heard(self, message: Message) -> None:
        is_answer = message.get("type") == "control_response"
        if is_answer and claude_messages.number_of(message) in self._hidden:
            self._hidden.discard(claude_messages.number_of(message))
            return
        if not self._is_closed:
            self.conversation.recording.heard(message)
        self.hear(message)

    def _heard_end(self, error: Exception | None) -> None:
        if not self._is_closed:
            self.conversation.recording.ended(error)
        self.hear_end(error)

    def _heard_error_line(self, scope: ownership.Scope | None, line: str) -> None:
        if not self._is_closed:
            self.conversation.recording.heard_error_line(line)
        with ownership.within(scope if scope is None else dataclasses.replace(scope, running=None)):
            self._options.stderr(line)
