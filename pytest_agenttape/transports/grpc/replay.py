"""A recorded gRPC answer put into grpc's own state of a call, so that its own classes are what the agent sees.

Third-party privates used here, of grpcio 1.62-1.85: `_RPCState`, `_InactiveRpcError`, `_event_handler`, `_abort` and
`_MultiThreadedRendezvous` of `grpc._channel`, and what these ask of the C core's call, operations and events;
`_common.serialize` and the table of codes; `cygrpc.OperationType`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

import grpc  # type: ignore[import-untyped]  # it has no types
from grpc import _channel, _common
from grpc._cython import cygrpc  # type: ignore[import-untyped]  # it has no types

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.transports.exchange import Exchange
from pytest_agenttape.transports.grpc.calls import Ending, Replayed
from pytest_agenttape.transports.pacing import LONGEST_WAIT

_OPERATIONS = cygrpc.OperationType
_DUE = (_OPERATIONS.receive_initial_metadata, _OPERATIONS.receive_status_on_client)


class _Operation:
    """What the C core reports of one operation."""

    def __init__(self, kind: Any, message: bytes | None = None, ending: Ending | None = None) -> None:
        self._kind, self._message, self._ending = kind, message, ending

    def type(self) -> Any:
        return self._kind

    def message(self) -> bytes | None:
        return self._message

    def initial_metadata(self) -> Any:
        return self._ending.initial if self._ending else ()

    def trailing_metadata(self) -> Any:
        return self._ending.trailing if self._ending else ()

    def code(self) -> Any:
        return code_of(self._ending)

    def details(self) -> str:
        return self._ending.details if self._ending else ""

    def error_string(self) -> str:
        return ""


class _Event:
    """What the C core reports at once."""

    def __init__(self, *operations: _Operation) -> None:
        self.batch_operations = operations


def code_of(ending: Ending | None) -> Any:
    """Return the C core's number of how a call ended."""
    code = getattr(grpc.StatusCode, ending.code if ending else "", grpc.StatusCode.UNKNOWN)
    return _common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code]


class ReplayedCall:
    """Stands for the C core's call: hands out what was recorded, when grpc asks for it."""

    def __init__(self, answer: Replayed, state: Any, handler: Any = None) -> None:
        self._answer, self._state, self._handler = answer, state, handler
        self._waiting: Any = None
        self._alarm: threading.Timer | None = None  # rings when the agent has waited for too long
        self.problem: AgentTapeError | None = None

    def start(self) -> None:
        """Report what the server says at first: its metadata, and the end of a call without a message."""
        initial = Ending("", "", self._answer.initial, ())
        self._handler(_Event(_Operation(_OPERATIONS.receive_initial_metadata, ending=initial)))
        if self._answer.is_at_end and self._answer.is_due and self._answer.ending is not None:
            self._handler(_Event(self._end()))

    def refuse_to_wait(self, timeout: float | None) -> None:
        """Raise if the agent is about to wait for ever, for what it did not wait for when recording."""
        if timeout is None and self._state.code is None and self._answer.ending is None:
            raise self._answer.cut_off()

    def operate(self, _operations: Any, handler: Any) -> bool:
        """Take the request for the next message."""
        self._waiting = handler
        self._deliver()
        if self._waiting is not None and self._answer.needs_more:
            self._alarm = threading.Timer(LONGEST_WAIT, self._stop_waiting)
            self._alarm.daemon = True
            self._alarm.start()
        return True

    def _stop_waiting(self) -> None:
        with self._state.condition:
            if self._waiting is None or self._state.code is not None:
                return
            self.problem = self._answer.waited_in_turn()
        self._give_up(grpc.StatusCode.INTERNAL, str(self.problem))

    def _deliver(self) -> None:
        handler, answer = self._waiting, self._answer
        if handler is None or not answer.is_due:
            return
        self._waiting = None
        if self._alarm is not None:
            self._alarm.cancel()
        reported = [_Operation(_OPERATIONS.receive_message, message=answer.take())]
        if answer.is_at_end and answer.is_due and answer.ending is not None:
            reported.append(self._end())
        handler(_Event(*reported))

    def _end(self) -> _Operation:
        return _Operation(_OPERATIONS.receive_status_on_client, ending=self._answer.ending)

    def listen(self, callable_: Any, requests: Iterable[Any]) -> None:
        """Hear what the agent says in a conversation, in a thread of its own, as grpc does."""
        try:
            for request in requests:
                raw = _common.serialize(request, callable_._request_serializer)
                with self._state.condition:
                    if self._state.code is grpc.StatusCode.CANCELLED:
                        return
                    self._answer.hear(raw, request)
                    self._deliver()
            with self._state.condition:
                self._answer.fell_silent()
        except AgentTapeError as error:
            self.problem = error
            self._give_up(grpc.StatusCode.INTERNAL, str(error))
        except Exception:  # noqa: BLE001  # the user's, which grpc reports like this
            self._give_up(grpc.StatusCode.UNKNOWN, "Exception iterating requests!")

    def _give_up(self, code: Any, details: str) -> None:
        with self._state.condition:
            self._state.due.discard(_OPERATIONS.receive_message)
            _channel._abort(self._state, code, details)
            self._state.condition.notify_all()

    def cancel(self, *_: Any) -> None:
        """Be told that the agent stopped."""
        if self._alarm is not None:
            self._alarm.cancel()


class _Rendezvous(_channel._MultiThreadedRendezvous):  # type: ignore[misc]  # grpc has no types
    """grpc's own, which raises our error where there is one."""

    def _next(self) -> Any:
        __tracebackhide__ = True
        try:
            return super()._next()
        except grpc.RpcError:
            if self._call.problem is not None:
                raise self._call.problem from None
            raise

    def result(self, timeout: float | None = None) -> Any:
        self._call.refuse_to_wait(timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> Any:
        self._call.refuse_to_wait(timeout)
        return super().exception(timeout)


_Rendezvous.__name__ = _Rendezvous.__qualname__ = _channel._MultiThreadedRendezvous.__name__  # it shows in its text


def failed(code: Any, details: str) -> Exception:
    """Return the error of a call that was not made."""
    error: Exception = _channel._InactiveRpcError(_channel._RPCState((), (), (), code, details))
    return error


def replayed_unary(callable_: Any, exchange: Exchange) -> tuple[Any, ReplayedCall]:
    """Return grpc's state of a call that has been answered, and the call."""
    __tracebackhide__ = True
    answer = Replayed(exchange)
    if exchange.turn is not None:
        exchange.turn.wait()
    state = _answered(callable_, answer)
    return state, ReplayedCall(answer, state)


class _Nothing:
    """The answer to a call that is never sent nor recorded: an empty message."""

    ending = Ending("OK", "", (), ())

    def take(self) -> bytes:
        return b""


def unsent(callable_: Any) -> tuple[Any, ReplayedCall]:
    """Return grpc's state of a call that succeeded without being sent, and the call."""
    answer: Any = _Nothing()
    state = _answered(callable_, answer)
    return state, ReplayedCall(answer, state)


def _answered(callable_: Any, answer: Replayed) -> Any:
    __tracebackhide__ = True
    if answer.ending is None:
        raise answer.cut_off()
    state = _state(callable_, *_DUE, _OPERATIONS.receive_message)
    message = answer.take() if answer.ending.code == "OK" else None
    _channel._event_handler(state, callable_._response_deserializer)(
        _Event(
            _Operation(_OPERATIONS.receive_initial_metadata, ending=answer.ending),
            _Operation(_OPERATIONS.receive_message, message=message),
            _Operation(_OPERATIONS.receive_status_on_client, ending=answer.ending),
        )
    )
    return state


def replayed_future(callable_: Any, exchange: Exchange) -> Any:
    """Return grpc's future of a call; it stays open if the agent did not wait for it when recording."""
    __tracebackhide__ = True
    answer = Replayed(exchange)
    if exchange.turn is not None:
        exchange.turn.end()
    if answer.ending is None and answer.is_given_up:
        state = _state(callable_, *_DUE, _OPERATIONS.receive_message)
    else:
        state = _answered(callable_, answer)
    return _Rendezvous(state, ReplayedCall(answer, state), None, None)


def replayed_stream(callable_: Any, answer: Replayed) -> tuple[Any, ReplayedCall]:
    state = _state(callable_, *_DUE)
    deserializer = callable_._response_deserializer
    call = ReplayedCall(answer, state, _channel._event_handler(state, deserializer))
    rendezvous = _Rendezvous(state, call, deserializer, None)
    call.start()
    return rendezvous, call


def _state(callable_: Any, *due: Any) -> Any:
    state = _channel._RPCState(due, None, None, None, None)
    state.method, state.target = callable_._method.decode(), callable_._target.decode()
    state.rpc_start_time = time.perf_counter()  # for grpc's own statistics
    return state
