"""Generators, sync and async, as boundaries: what passes through them is recorded, and replayed item by item."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Generator
from copy import copy
from typing import Any, TypeAlias

from pytest_agenttape import ownership
from pytest_agenttape.boundaries.call import Boundary, LiveCall, ServedCall, Stored, refuse_reading_on
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.process import waits
from pytest_agenttape.process.cancellation import is_cancellation


def wrap(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    """Return a generator function that asks the session before *fn*."""

    def start(*args: Any, **kwargs: Any) -> _Opened:
        __tracebackhide__ = True
        return _opened(fn, boundary, _items, args, kwargs)

    return _generator(start)


def wrap_async(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    """Return an async generator function that asks the session before *fn*."""

    def start(*args: Any, **kwargs: Any) -> _Opened:
        __tracebackhide__ = True
        return _opened(fn, boundary, _items_async, args, kwargs)

    return _async_generator(start)


def logged(call: LiveCall, body: object) -> Any:
    """Return the generator *body*, which a plain function returned, with a log of what passes through it."""
    return _generator(lambda: (body, _Log(call)))()


def logged_async(call: LiveCall, body: object) -> Any:
    """Return the async generator *body*, which a plain function returned, with a log of what passes through it."""
    return _async_generator(lambda: (body, _Log(call)))()


def served(call: ServedCall) -> Any:
    """Return a generator that serves the recorded stream."""
    return _generator(lambda: (_items(call), None))()


def served_async(call: ServedCall) -> Any:
    """Return an async generator that serves the recorded stream."""
    return _async_generator(lambda: (_items_async(call), None))()


class _Log:
    """Logs what passes through a generator that runs for real."""

    def __init__(self, call: LiveCall) -> None:
        refuse_reading_on(call.live.recorder, call.boundary.name)
        self._call = call
        self._stream: Stored = {"items": []}
        call.live.source = self

    def inside(self) -> Any:
        """Return the context manager in which the body takes its next step."""
        if self._call.watch is not None and self._stream["items"]:
            self._call.watch.look()  # what the reader has changed meanwhile is not the body's doing
        return ownership.within(self._call.inside)

    def yielded(self, item: object) -> None:
        items = self._stream["items"]
        items.append(self._call.encode(item, f"result.items[{len(items)}]"))
        changes = self._call.changes()
        if changes:
            self._note("changed", changes)

    def sent(self, value: object) -> None:
        refuse_reading_on(self._call.live.recorder, self._call.boundary.name)
        if value is not None:
            sent = self._call.encode(value, "result.sent")
            self._call.live.recorder.vet(self._call.live, sent)
            self._note("sent", sent)

    def thrown(self, error: BaseException) -> None:
        self._note("thrown", type(error).__name__)

    def returned(self, value: object) -> None:
        if value is not None:
            self._stream["return"] = self._call.encode(value, "result.return")
        self._call.note_changes()
        self._call.end({"$stream": self._stream})

    def raised(self, error: BaseException) -> None:
        last = str(len(self._stream["items"]) - 1)
        if is_cancellation(error) and last in self._stream.get("thrown", {}):
            del self._stream["thrown"][last]  # the reader was cancelled, not a wait of the body
            self.closed()
            return
        about = {name: each for name, each in self._stream.items() if name != "items"}
        self._call.fail(error, {"after": self._stream["items"], **about} if self._stream["items"] else about)

    def closed(self) -> None:
        """Keep what was read, and what the body did when it was closed, unless the recording has ended."""
        if not self._call.live.recorder.is_closed and self._call.has_noted_changes():
            self.settle()

    def settle(self) -> None:
        """Keep the part of a stream that was read, when it will not be read further."""
        self._call.end(self._so_far())

    def preview(self) -> Interaction:
        """Return the call as it would be recorded if its reader stopped now, for an assertion made before the end."""
        call = self._call
        return call.live.recorder.outcome(
            call.live, response=self._so_far(), usage=call.boundary.usage, tags=call.boundary.tags
        )

    def _so_far(self) -> JSON:
        kept = {name: copy(each) for name, each in self._stream.items() if each or name == "items"}
        return {"$stream": {**kept, "complete": False}}

    def _note(self, what: str, stored: JSON) -> None:
        self._stream.setdefault(what, {})[str(len(self._stream["items"]) - 1)] = stored


_Opened: TypeAlias = tuple[Any, _Log | None]  # a generator, and its log if it is recorded


def _opened(
    fn: Callable[..., Any],
    boundary: Boundary,
    items: Callable[[ServedCall], Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _Opened:
    __tracebackhide__ = True
    found = ownership.current()
    if found is None:
        return fn(*args, **kwargs), None
    call = boundary.begin(found, args, kwargs)
    if isinstance(call, ServedCall):
        return items(call), None
    with ownership.within(call.inside):
        return fn(*args, **kwargs), _Log(call)


def _generator(start: Callable[..., _Opened]) -> Callable[..., Any]:
    """Return a generator function that passes on what the generator from *start* yields, and logs it."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        body, log = start(*args, **kwargs)
        if log is None:
            return (yield from body)
        step: Callable[[], Any] = functools.partial(next, body)
        while True:
            try:
                with log.inside():
                    item = step()
            except StopIteration as stop:
                log.returned(stop.value)
                return stop.value
            except BaseException as error:
                log.raised(error)
                raise
            log.yielded(item)
            try:
                sent = yield item
            except GeneratorExit:
                try:
                    with log.inside():
                        body.close()
                except BaseException as error:
                    log.raised(error)
                    raise
                log.closed()
                raise
            except BaseException as error:  # noqa: BLE001  # the body gets what was thrown at us
                log.thrown(error)
                step = functools.partial(body.throw, error)
            else:
                log.sent(sent)
                step = functools.partial(body.send, sent)

    return call


def _async_generator(start: Callable[..., _Opened]) -> Callable[..., Any]:
    """Return an async generator function that passes on what the generator from *start* yields, and logs it."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        __tracebackhide__ = True
        body, kept = start(*args, **kwargs)
        log = kept or _NO_LOG
        step: Callable[[], Any] = functools.partial(anext, body)
        while True:
            try:
                with log.inside():
                    item = await step()
            except StopAsyncIteration:
                log.returned(None)
                return
            except BaseException as error:
                log.raised(error)
                raise
            log.yielded(item)
            try:
                sent = yield item
            except GeneratorExit:
                try:
                    with log.inside():
                        await body.aclose()
                except BaseException as error:
                    log.raised(error)
                    raise
                log.closed()
                raise
            except BaseException as error:  # noqa: BLE001  # the body gets what was thrown at us
                log.thrown(error)
                step = functools.partial(body.athrow, error)
            else:
                log.sent(sent)
                step = functools.partial(body.asend, sent)

    return call


class _NoLog(_Log):
    """The log of a generator that is not recorded."""

    def __init__(self) -> None:
        """Take no call: nothing is logged."""

    def inside(self) -> Any:
        return contextlib.nullcontext()

    def yielded(self, item: object) -> None: ...
    def sent(self, value: object) -> None: ...
    def thrown(self, error: BaseException) -> None: ...
    def returned(self, value: object) -> None: ...
    def raised(self, error: BaseException) -> None: ...
    def closed(self) -> None: ...
    def settle(self) -> None: ...


_NO_LOG = _NoLog()


def _items(call: ServedCall) -> Generator[Any, Any, Any]:
    """Serve a recorded stream to its end."""
    stream = call.stream()
    yield from _served_items(call, stream)
    return call.answer() if call.has_failed else _ending(call, stream)


async def _items_async(call: ServedCall) -> AsyncGenerator[Any, Any]:
    stream = call.stream()
    items = _served_items(call, stream)
    step: Callable[[], Any] = functools.partial(next, items)
    while True:
        await waits.let_others_run()
        try:
            item = step()
        except StopIteration:
            break
        try:
            sent = yield item
        except GeneratorExit:
            items.close()
            raise
        except BaseException as error:  # noqa: BLE001  # `_served_items` compares it with the recording
            step = functools.partial(items.throw, error)
        else:
            step = functools.partial(items.send, sent)
    if call.has_failed:
        await call.answered()
    _ending(call, stream)


def _served_items(call: ServedCall, stream: Stored) -> Generator[Any, Any, None]:
    items = stream.get("items") or ()
    put_in = [*(stream.get("sent") or ()), *(stream.get("thrown") or ())]  # the positions of what came from the reader
    if put_in:
        call.served.judge = lambda: _left_out(call, put_in)
    for position, item in enumerate(items):
        call.redo((stream.get("changed") or {}).get(str(position), ()))
        try:
            sent = yield call.decode(item)
        except GeneratorExit:
            if position == len(items) - 1 and stream.get("complete") is False:
                call.look()
                call.redo(call.recorded.changes)
            raise
        except BaseException as error:
            # When this was recorded, the body went on after this exception; it never saw any other.
            name = type(error).__name__
            _note_as_given(put_in, position)
            if (stream.get("thrown") or {}).get(str(position)) != name:
                if isinstance(error, Exception):
                    call.past_the_end(f"had no {name} thrown into it after item {position}")
                raise
        else:
            _note_as_given(put_in, position)
            thrown = (stream.get("thrown") or {}).get(str(position))
            if thrown is not None:
                raise call.past_the_end(f"had a {thrown} thrown into it after item {position}")
            _check_sent(call, sent, (stream.get("sent") or {}).get(str(position)), position)
        call.look()


def _note_as_given(put_in: list[str], position: int) -> None:
    if str(position) in put_in:
        put_in.remove(str(position))


def _left_out(call: ServedCall, put_in: list[str]) -> AgentTapeError | None:
    """Refuse a replay whose reader did not put in all that it had put in when this was recorded."""
    if not put_in:
        return None
    return call.past_the_end(f"was sent something after item {put_in[0]}, which is missing now")


def _check_sent(call: ServedCall, sent: object, recorded: JSON, position: int) -> None:
    refuse_reading_on(call.recorder, call.boundary.name)
    if sent is None and recorded is None:
        return
    if not call.is_same(sent, recorded):
        raise call.past_the_end(f"was sent a different value after item {position}")


def _ending(call: ServedCall, stream: Stored) -> Any:
    call.redo(call.recorded.changes)
    if stream.get("complete") is False:
        raise call.past_the_end("ends here: its reader stopped early")
    return call.decode(stream.get("return"))
