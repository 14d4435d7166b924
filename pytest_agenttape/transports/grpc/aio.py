"""gRPC through `grpc.aio`: the C core's call below each of its four kinds of call, and below all interceptors.

Third-party privates used here, all of grpcio 1.62-1.85: `grpc.aio._call.*Call.__init__` with its parameters `channel`,
`method`, `request_serializer` and `response_deserializer`; the `_channel` of a channel.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

import grpc  # type: ignore[import-untyped]  # it has no types
from grpc._cython import cygrpc  # type: ignore[import-untyped]  # it has no types
from grpc.aio import _call as aio_calls  # type: ignore[import-untyped]  # it has no types
from grpc.aio import _channel as aio_channel

from pytest_agenttape import ownership
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.grpc import calls
from pytest_agenttape.transports.grpc.aio_call import About, OneCallChannel

_GRPC = Library("grpcio", seen="1.62-1.85")
# The kinds of call, and where the messages of the answer are kept.
_KINDS = {
    "UnaryUnaryCall": "",
    "UnaryStreamCall": "messages",
    "StreamUnaryCall": "",
    "StreamStreamCall": "conversation",
}
_PARAMETERS = frozenset({"channel", "method", "request_serializer", "response_deserializer"})

_targets: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # channels by the id of their core's


def install() -> None:
    """Patch the calls, which stubs made earlier make too, and what makes a channel connect."""
    _GRPC.require(cygrpc, "AioRpcStatus", "EOF", "_AioCall")
    _GRPC.require(cygrpc._AioCall, "_status", "_initial_metadata")
    for name, form in _KINDS.items():
        _GRPC.require(aio_calls, name)
        call = getattr(aio_calls, name)
        if _PARAMETERS - inspect.signature(call.__init__).parameters.keys():
            raise _GRPC.lacks(f"aio {name}.__init__ with {', '.join(sorted(_PARAMETERS))}")
        if getattr(aio_channel, name) is not call:
            raise _GRPC.lacks(f"aio channel that makes a {name}")
        _patch(call, "__init__", functools.partial(_made_by_us, form=form))
    _patch(aio_channel.Channel, "__init__", _remembered)
    _patch(aio_channel.Channel, "get_state", _state)


def _patch(owner: Any, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
    real = getattr(owner, name)
    if not hasattr(real, "__agenttape__"):
        ours = functools.update_wrapper(wrap(real), real)
        ours.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
        setattr(owner, name, ours)


def _remembered(real: Any) -> Callable[..., Any]:
    def init(self: Any, target: str, *args: Any, **kwargs: Any) -> None:
        real(self, target, *args, **kwargs)
        self.__agenttape_target__ = target
        _targets[id(self._channel)] = self

    return init


def _url(channel: Any, method: bytes) -> str:
    return calls.url_of(_target(channel), method.decode())


def _target(channel: Any) -> str:
    target = getattr(channel, "target", None)  # a channel of older versions does not say
    if isinstance(target, bytes):
        return target.decode()
    return str(getattr(_targets.get(id(channel)), "__agenttape_target__", "unknown"))


def _state(real: Any) -> Callable[..., Any]:
    """Report a channel as ready, in replay, instead of letting it connect."""

    def get_state(self: Any, try_to_connect: bool = False) -> Any:
        if not ownership.only_replays():
            return real(self, try_to_connect)
        return grpc.ChannelConnectivity.READY if try_to_connect else grpc.ChannelConnectivity.IDLE

    return get_state


def _made_by_us(real: Any, form: str) -> Callable[..., Any]:
    signature = inspect.signature(real)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        asked = signature.bind(self, *args, **kwargs)
        options = asked.arguments
        url = functools.partial(_url, options["channel"], options["method"])
        found = exchanges.owner_of(calls.METHOD, url)
        if found is not None:
            about = About(found, url(), form, options["request_serializer"], options["response_deserializer"])
            channel = OneCallChannel(options["channel"], about)
            options.update(channel=channel, request_serializer=channel.serialize)
        real(*asked.args, **asked.kwargs)

    return init
