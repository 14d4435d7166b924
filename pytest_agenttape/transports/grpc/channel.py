"""gRPC through `grpc.insecure_channel` and `grpc.secure_channel`: the calls below all interceptors.

In replay, the channel is never asked to connect: its C core is out of reach of the guard of sockets.

Third-party privates used here, all of grpcio 1.62-1.85: in `grpc._channel` the multi-callables, their `_blocking`,
`_target`, `_method`, `_request_serializer` and `_response_deserializer`, and the `_state` of a call;
`_common.serialize` and `deserialize`; and the `time` of the modules that make a deadline.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]  # it has no types
from grpc import _channel, _common

from pytest_agenttape import ownership
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.freeze import real_time_ns
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange
from pytest_agenttape.transports.grpc import aio as grpc_aio
from pytest_agenttape.transports.grpc import calls, messages
from pytest_agenttape.transports.grpc.calls import Ending, Recording, Replayed
from pytest_agenttape.transports.grpc.replay import failed, replayed_future, replayed_stream, replayed_unary, unsent

_GRPC = Library("grpcio", seen="1.62-1.85")
_PRIVATES = ("_RPCState", "_InactiveRpcError", "_event_handler", "_abort", "_MultiThreadedRendezvous", "Channel")
_TIMED = ("grpc._cython.cygrpc", "grpc._channel", "grpc._common", "grpc._utilities", "grpc.aio._utils")
_UNARY = ("_UnaryUnaryMultiCallable", "_StreamUnaryMultiCallable")
_STREAMS = ("_UnaryStreamMultiCallable", "_SingleThreadedUnaryStreamMultiCallable", "_StreamStreamMultiCallable")

_lock = threading.Lock()


def install(library: str) -> None:  # noqa: ARG001  # there is but one
    """Patch the calls of the multi-callables, which stubs may have made before, and what makes a channel connect."""
    with _lock:
        _GRPC.require(_channel, *_PRIVATES, *_UNARY, *_STREAMS)
        for name in (*_UNARY, *_STREAMS):
            _GRPC.require(
                getattr(_channel, name), "_target", "_method", "_request_serializer", "_response_deserializer"
            )
        keep_real_time()
        for name in _UNARY:
            owner = getattr(_channel, name)
            _GRPC.require(owner, "_blocking", "future")
            called = inspect.unwrap(owner.__call__)
            if called.__module__ == _channel.__name__ and "_blocking" not in called.__code__.co_names:
                raise _GRPC.lacks(f"{name}.__call__ that calls _blocking")
            asked = owner.__base__  # its functions have the parameters, whoever has wrapped ours
            _patch(owner, "_blocking", _wrap(_blocking, asked.__call__, is_stream=name == _UNARY[1]))
            _patch(owner, "future", _wrap(_future, asked.future, is_stream=name == _UNARY[1]))
        for name in _STREAMS:
            answer = _converse if name == _STREAMS[2] else _stream
            owner = getattr(_channel, name)
            _patch(owner, "__call__", _wrap(answer, owner.__base__.__call__, is_stream=False))
        _patch(_channel.Channel, "subscribe", _subscribe)
        grpc_aio.install()


def keep_real_time() -> None:
    """Let deadlines be of the real clock: the C core compares them with its own."""
    for name in _TIMED:
        module = sys.modules.get(name)
        if module is not None and getattr(module, "time", None) is not None:
            module.time = _CLOCK  # type: ignore[attr-defined]  # the module `time`, as it knows it


class _RealTime:
    """The module `time`, whose clock is not frozen."""

    def time(self) -> float:
        return real_time_ns() / 1_000_000_000

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_CLOCK = _RealTime()


def _patch(owner: Any, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
    real = getattr(owner, name)
    mock = sys.modules.get("unittest.mock")
    if hasattr(real, "__agenttape__") or (mock is not None and isinstance(real, mock.NonCallableMock)):
        return  # in place, or a mock that answers everything while it is there
    ours = functools.update_wrapper(wrap(real), real)
    ours.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    setattr(owner, name, ours)


def _wrap(
    answer: Callable[..., Any], public: Callable[..., Any], *, is_stream: bool
) -> Callable[[Any], Callable[..., Any]]:
    signature = inspect.signature(public)

    def wrap(real: Any) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            url = functools.partial(_url, self)
            found = exchanges.owner_of(calls.METHOD, url)
            if found is None:
                return real(self, *args, **kwargs)
            if answer is _blocking and exchanges.is_answered(found, calls.METHOD, url()):
                return unsent(self)
            asked = signature.bind(self, *args, **kwargs)
            request = asked.args[1]
            metadata = asked.arguments.get("metadata")
            if metadata is not None:
                asked.arguments["metadata"] = metadata = tuple(metadata)
            sent = _sent(self, request if is_stream else (request,)) if answer is not _converse else []
            body = _body(sent, is_stream=is_stream) if answer is not _converse else {}
            exchange = calls.begin(found, url(), metadata, body)
            asked.arguments[list(asked.arguments)[1]] = request if answer is _converse else _as_bytes(sent, is_stream)
            return answer(self, exchange, real, asked)

        return call

    return wrap


def _url(callable_: Any) -> str:
    return calls.url_of(callable_._target.decode(), callable_._method.decode())  # a closed core has no target


def _sent(callable_: Any, requests: Iterable[Any]) -> list[tuple[bytes, object]]:
    """Return the messages of a request with their bytes.

    Raises:
        grpc.RpcError: As grpc does, there are none.
    """
    try:
        read = list(requests)
    except Exception as error:
        raise failed(grpc.StatusCode.UNKNOWN, "Exception iterating requests!") from error
    sent = [(_common.serialize(each, callable_._request_serializer), each) for each in read]
    if any(raw is None for raw, _ in sent):
        raise failed(grpc.StatusCode.INTERNAL, "Exception serializing request!")
    return sent


def _body(sent: list[tuple[bytes, object]], *, is_stream: bool) -> dict[str, Any]:
    return messages.asked_often(sent) if is_stream else messages.asked_once(*sent[0])


def _as_bytes(sent: list[tuple[bytes, object]], is_stream: bool) -> Any:
    return iter([raw for raw, _ in sent]) if is_stream else sent[0][0]


def _reader(callable_: Any) -> calls.Read:
    return lambda raw: _common.deserialize(raw, callable_._response_deserializer)


def _raw(callable_: Any, recording: Recording) -> Any:
    """Return *callable_* as one that sends bytes, and lets *recording* hear what it receives."""
    raw = copy.copy(callable_)
    raw._request_serializer = None
    raw._response_deserializer = recording.hear
    return raw


# The kinds of call ------------------------------------------------------------------------------------------------


def _blocking(callable_: Any, exchange: Exchange, real: Any, asked: inspect.BoundArguments) -> Any:
    __tracebackhide__ = True
    if not exchange.is_live:
        return replayed_unary(callable_, exchange)
    recording = Recording(exchange, _reader(callable_))
    with exchanges.sending(exchange):
        state, call = real(_raw(callable_, recording), *asked.args[1:], **asked.kwargs)
    recording.end(_ending(state))
    return state, call


def _future(callable_: Any, exchange: Exchange, real: Any, asked: inspect.BoundArguments) -> Any:
    __tracebackhide__ = True
    if not exchange.is_live:
        return replayed_future(callable_, exchange)
    recording = Recording(exchange, _reader(callable_))
    return _watched(recording, exchange, real, _raw(callable_, recording), asked)


def _stream(callable_: Any, exchange: Exchange, real: Any, asked: inspect.BoundArguments) -> Any:
    __tracebackhide__ = True
    if not exchange.is_live:
        return replayed_stream(callable_, Replayed(exchange))[0]
    recording = Recording(exchange, _reader(callable_), "messages")
    return _watched(recording, exchange, real, _raw(callable_, recording), asked)


def _converse(callable_: Any, exchange: Exchange, real: Any, asked: inspect.BoundArguments) -> Any:
    __tracebackhide__ = True
    requests = asked.args[1]
    if not exchange.is_live:
        rendezvous, call = replayed_stream(callable_, Replayed(exchange))
        listener = threading.Thread(target=call.listen, args=(callable_, requests), daemon=True)
        listener.start()
        return rendezvous
    recording = Recording(exchange, _reader(callable_), "conversation")
    asked.arguments[list(asked.arguments)[1]] = _said(callable_, recording, requests)
    return _watched(recording, exchange, real, _raw(callable_, recording), asked)


def _said(callable_: Any, recording: Recording, requests: Iterable[Any]) -> Iterator[bytes | None]:
    for request in requests:
        raw = _common.serialize(request, callable_._request_serializer)
        if raw is not None:
            recording.say(raw, request)
        yield raw


# Recording --------------------------------------------------------------------------------------------------------


def _watched(recording: Recording, exchange: Exchange, real: Any, raw: Any, asked: inspect.BoundArguments) -> Any:
    """Return the live call that *real* begins, of which *recording* hears the end."""
    with exchanges.sending(exchange):
        rendezvous = real(raw, *asked.args[1:], **asked.kwargs)
    state = rendezvous._state

    def ending() -> Ending | None:
        return None if state.code is None or state.cancelled else _ending(state)

    recording.ending = ending
    if not rendezvous.add_callback(recording.settle):
        recording.settle()
    return rendezvous


def _ending(state: Any) -> Ending:
    return Ending(state.code.name, state.details or "", state.initial_metadata or (), state.trailing_metadata or ())


# A channel's state ------------------------------------------------------------------------------------------------


def _subscribe(real: Any) -> Callable[..., Any]:
    """Report a channel as ready, in replay, instead of letting it connect."""

    def subscribe(self: Any, callback: Callable[[Any], None], try_to_connect: bool | None = None) -> None:
        if not ownership.only_replays():
            real(self, callback, try_to_connect)
            return
        callback(grpc.ChannelConnectivity.READY if try_to_connect else grpc.ChannelConnectivity.IDLE)

    return subscribe
