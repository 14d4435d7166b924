"""The body of a recorded response, as a transport hands it out: each chunk when it is due, then what ended it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from pytest_agenttape.bodies.messages import HttpResponse
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure


class ReplayedBody:
    """The chunks of a recorded response as they arrived; *fail* turns a recorded failure into the library's own."""

    def __init__(self, answer: HttpResponse, exchange: Exchange, fail: Callable[[TransportFailure], Exception]) -> None:
        self._chunks = answer.chunks
        self._is_complete = answer.complete
        self._is_shortened = answer.is_shortened
        self._exchange = exchange
        self._fail = fail
        self._schedule = exchanges.schedule(exchange, len(answer.chunks))
        self._closed = threading.Event() if self._schedule else None
        self._turn = exchange.call.turn
        self._last = max(len(answer.chunks) - 1, 0)

    def __iter__(self) -> Iterator[bytes]:
        waits = self._schedule is not None or self._turn is not None
        for piece, chunk in enumerate(self._chunks):
            if waits:
                self._wait(piece)
            yield chunk
        if waits:
            self._wait(len(self._chunks))
        self._raise_at_end()

    def _wait(self, piece: int) -> None:
        if self._schedule is not None and self._closed is not None:
            self._schedule.wait(piece, self._closed)
        if self._turn is not None and piece == self._last:
            self._turn.wait()

    async def _await_turn(self, piece: int) -> None:
        if self._turn is not None and piece == self._last:
            await self._turn.waited()

    def _raise_at_end(self) -> None:
        failure = exchanges.failure_after(self._exchange)
        if failure is not None and not failure.is_cancellation:
            raise self._fail(failure)
        if failure is None and not self._is_complete and not self._is_shortened:
            raise exchanges.past_the_end(self._exchange)

    def close(self) -> None:
        """End the wait of the reader."""
        if self._closed is not None:
            self._closed.set()
        if self._turn is not None:
            self._turn.end()
