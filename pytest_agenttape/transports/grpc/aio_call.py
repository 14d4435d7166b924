"""The C core's call of `grpc.aio`, which is live or replayed; grpc's own classes do the rest in both cases.

Third-party privates used here, all of grpcio 1.62-1.85: what `grpc.aio` asks of `cygrpc._AioCall`, with its `_status`
and `_initial_metadata`; `cygrpc.AioRpcStatus` and `cygrpc.EOF`; `grpc._common`'s table of codes and `deserialize`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from grpc import _common  # type: ignore[import-untyped]  # it has no types
from grpc._cython import cygrpc  # type: ignore[import-untyped]  # it has no types

from pytest_agenttape import ownership
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange
from pytest_agenttape.transports.grpc import calls, messages
from pytest_agenttape.transports.grpc.calls import Ending, Recording, Replayed
from pytest_agenttape.transports.pacing import LONGEST_WAIT

_NAMES = {number: code.name for number, code in _common.CYGRPC_STATUS_CODE_TO_STATUS_CODE.items()}
_NUMBERS = {name: number for number, name in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class About:
    """What a call is, before it is known how it goes on."""

    found: ownership.Scope
    url: str
    form: str
    serializer: Any
    deserializer: Any

    def read(self, raw: bytes) -> object:
        return _common.deserialize(raw, self.deserializer)


class OneCallChannel:
    """Stands for the channel of one call; the real one is asked for a call only if that is live."""

    def __init__(self, real: Any, about: About) -> None:
        self._real, self._about = real, about
        self.message: object = None

    def call(self, *args: Any) -> Call:
        return Call(self, self._about, functools.partial(self._real.call, *args))

    def serialize(self, message: Any) -> Any:
        """Return the bytes of a message, which is kept: it is sent next."""
        self.message = message
        return message if self._about.serializer is None else self._about.serializer(message)


class Call:
    """Stands for the C core's call: passes on to it what is live, answers what is replayed."""

    def __init__(self, channel: OneCallChannel, about: About, make: Callable[[], Any]) -> None:
        self._channel, self._about, self._make = channel, about, make
        self._real: Any = None
        self._recording: Recording | None = None
        self._answer: Replayed | None = None
        self._problem: BaseException | None = None
        self._sent: list[tuple[bytes, object]] = []
        self._callbacks: list[Callable[[], None]] = []
        self._own_status: Any = None
        self._is_cancelled = False
        self._is_decided, self._is_over, self._is_closed, self._moved = (asyncio.Event() for _ in range(4))

    # -- the four kinds

    async def unary_unary(self, request: bytes, metadata: Any, *rest: Any) -> Any:
        __tracebackhide__ = True
        exchange = self._begin(metadata, messages.asked_once(request, self._channel.message))
        if self._answer is not None:
            return await self._replayed(exchange)
        return await self._lived(exchange, lambda: self._real.unary_unary(request, metadata, *rest))

    async def stream_unary(self, metadata: Any, on_metadata_sent: Callable[[], None], *rest: Any) -> Any:
        __tracebackhide__ = True
        on_metadata_sent()
        await self._is_closed.wait()
        exchange = self._begin(metadata, messages.asked_often(self._sent))
        if self._answer is not None:
            return await self._replayed(exchange)
        return await self._lived(exchange, lambda: _send_all(self._real, self._sent, metadata, *rest))

    async def initiate_unary_stream(self, request: bytes, metadata: Any, *rest: Any) -> None:
        __tracebackhide__ = True
        exchange = self._begin(metadata, messages.asked_once(request, self._channel.message))
        if self._real is not None:
            with exchanges.sending(exchange):
                await self._real.initiate_unary_stream(request, metadata, *rest)

    async def initiate_stream_stream(self, metadata: Any, on_metadata_sent: Callable[[], None], *rest: Any) -> None:
        __tracebackhide__ = True
        try:
            exchange = self._begin(metadata, {})
        except AgentTapeError as error:
            self._problem = error
            on_metadata_sent()  # whoever wants to write waits for that
            raise
        if self._real is None:
            on_metadata_sent()
            return
        with exchanges.sending(exchange):
            await self._real.initiate_stream_stream(metadata, on_metadata_sent, *rest)

    def _begin(self, metadata: Any, body: Mapping[str, JSON]) -> Exchange:
        __tracebackhide__ = True
        exchange = calls.begin(self._about.found, self._about.url, metadata, body)
        if exchange.is_live:
            with ownership.within(exchange.inside):
                self._real = self._make()
            for callback in self._callbacks:
                self._real.add_done_callback(callback)
            self._recording = Recording(exchange, self._about.read, self._about.form)
            self._recording.ending = functools.partial(_ending, self._real)
        else:
            self._answer = Replayed(exchange)
        self._is_decided.set()
        return exchange

    async def _lived(self, exchange: Exchange, run: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a live call with a single answer gets."""
        assert self._recording is not None
        try:
            with exchanges.sending(exchange):
                raw = await run()
            if self._real.is_ok():
                self._recording.hear(raw)
        except asyncio.CancelledError:
            self._real.cancel("Locally cancelled by application!")
            raise
        finally:
            self._recording.settle()
        return raw

    async def _replayed(self, exchange: Exchange) -> Any:
        __tracebackhide__ = True
        answer = self._answer
        assert answer is not None
        if exchange.turn is not None:
            await exchange.turn.waited()
        if answer.ending is None:
            await self._wait_in_vain(answer)
        raw = answer.take() if answer.ending.code == "OK" else None
        self._end(answer.ending)
        return raw

    async def _wait_in_vain(self, answer: Replayed) -> NoReturn:
        """Wait as the agent did when recording, until it gives up again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                await self._is_over.wait()
        if self._is_cancelled:
            raise asyncio.CancelledError
        raise answer.cut_off()

    # -- messages

    async def receive_serialized_message(self) -> Any:
        __tracebackhide__ = True
        if self._real is not None:
            return await self._received()
        answer = self._answer
        assert answer is not None
        while not (answer.is_due or self._problem or self._own_status):
            self._moved.clear()
            try:
                async with asyncio.timeout(LONGEST_WAIT):
                    await self._moved.wait()
            except TimeoutError:
                self._problem = answer.waited_in_turn()
        if self._problem is not None:
            raise self._problem
        if self._own_status is not None:
            return cygrpc.EOF
        if answer.is_at_end and answer.is_given_up:
            await self._wait_in_vain(answer)
        raw = answer.take()
        if raw is None:
            assert answer.ending is not None
            self._end(answer.ending)
            return cygrpc.EOF
        return raw

    async def _received(self) -> Any:
        assert self._recording is not None
        with self._recording.waiting():
            raw = await self._real.receive_serialized_message()
        if raw is not cygrpc.EOF:
            self._recording.hear(raw)
            return raw
        await self._real.status()  # it comes next
        self._recording.settle()
        return raw

    async def send_serialized_message(self, raw: bytes) -> None:
        message = self._channel.message
        if self._about.form != "conversation":
            self._sent.append((raw, message))
        elif self._real is not None:
            assert self._recording is not None
            self._recording.say(raw, message)
            await self._real.send_serialized_message(raw)
        else:
            self._hear(lambda answer: answer.hear(raw, message))

    async def send_receive_close(self) -> None:
        self._is_closed.set()
        if self._about.form == "conversation":
            if self._real is not None:
                await self._real.send_receive_close()
            else:
                self._hear(lambda answer: answer.fell_silent())

    def _hear(self, what: Callable[[Replayed], None]) -> None:
        __tracebackhide__ = True
        if self._problem is not None:
            raise self._problem
        assert self._answer is not None
        try:
            what(self._answer)
        except AgentTapeError as error:
            self._problem = error
            raise
        finally:
            self._moved.set()

    # -- how it ends

    def _end(self, ending: Ending) -> None:
        number = _NUMBERS.get(ending.code, _NUMBERS["UNKNOWN"])
        self._set_status(cygrpc.AioRpcStatus(number, ending.details, ending.trailing, ""))

    def _set_status(self, status: Any) -> None:
        if self._own_status is not None:
            return
        self._own_status = status
        for event in (self._is_over, self._is_decided, self._moved):
            event.set()
        for callback in self._callbacks:
            callback()

    def cancel(self, details: str) -> None:
        if self._real is not None:
            self._real.cancel(details)
            if self._recording is not None:
                self._recording.settle()
            return
        self._is_cancelled = True
        self._set_status(cygrpc.AioRpcStatus(_NUMBERS["CANCELLED"], details, (), ""))

    def set_internal_error(self, text: str) -> None:
        if self._real is not None:
            self._real.set_internal_error(text)
        else:
            self._set_status(cygrpc.AioRpcStatus(_NUMBERS["INTERNAL"], text, (), ""))

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        if self._real is not None:
            self._real.add_done_callback(callback)
        elif self._own_status is not None:
            callback()
        else:
            self._callbacks.append(callback)

    # -- what grpc asks of a call

    @property
    def _status(self) -> Any:
        return self._own_status if self._real is None else self._real._status

    @property
    def _initial_metadata(self) -> Any:
        if self._real is not None:
            return self._real._initial_metadata
        return self._answer.initial if self._answer is not None else ()

    async def status(self) -> Any:
        await self._is_decided.wait()
        if self._real is not None:
            return await self._real.status()
        await self._is_over.wait()
        return self._own_status

    async def initial_metadata(self) -> Any:
        await self._is_decided.wait()
        return await self._real.initial_metadata() if self._real is not None else self._initial_metadata

    def __repr__(self) -> str:
        return repr(self._real) if self._real is not None else f"<replayed RPC {self._about.url}>"

    def __getattr__(self, name: str) -> Any:
        if name not in _ASKED:
            raise AttributeError(name)
        return functools.partial(_ASKED[name], self)


_ASKED: dict[str, Callable[[Any], Any]] = {
    "done": lambda call: call._own_status is not None if call._real is None else call._real.done(),
    "is_ok": lambda call: call._status is not None and call._status.code() == _NUMBERS["OK"],
    "is_locally_cancelled": lambda call: (
        call._is_cancelled if call._real is None else call._real.is_locally_cancelled()
    ),
    "cancelled": lambda call: call._is_cancelled if call._real is None else call._real.cancelled(),
    "time_remaining": lambda call: None if call._real is None else call._real.time_remaining(),
}


async def _send_all(real: Any, sent: list[tuple[bytes, object]], metadata: Any, *rest: Any) -> Any:
    is_ready = asyncio.Event()
    answer = asyncio.ensure_future(real.stream_unary(metadata, is_ready.set, *rest))
    answer.add_done_callback(lambda _: is_ready.set())
    try:
        await is_ready.wait()
        for raw, _ in sent:
            if not answer.done():
                await real.send_serialized_message(raw)
        if not answer.done():
            await real.send_receive_close()
    except cygrpc.InternalError:  # the server has answered already
        pass
    except asyncio.CancelledError:
        answer.cancel()
        raise
    return await answer


def _ending(real: Any) -> Ending | None:
    """Return how a live call ended; None if it has not, or if the agent ended it."""
    if not real.done() or real.is_locally_cancelled() or real._status is None:
        return None
    status = real._status
    trailing = tuple(status.trailing_metadata() or ())
    return Ending(_NAMES[status.code()], status.details() or "", tuple(real._initial_metadata or ()), trailing)
