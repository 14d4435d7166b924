"""Asks the owner of what leaves the process: a connection to another machine, HTTP to this one, a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.ownership.scopes import current, is_outside
from pytest_agenttape.process import network, programs, spoken_http
from pytest_agenttape.process.programs import Program
from pytest_agenttape.process.spoken_http import SpokenRequest

Judge: TypeAlias = Callable[[str, int | None], AgentTapeError | None]

_judge_unowned: Judge | None = None  # of connections that belong to no owner; process-wide, as connections are


@contextmanager
def judging_unowned(judge: Judge) -> Iterator[None]:
    """Let *judge* say, for as long as the block runs, why a connection that nobody owns must not be made."""
    global _judge_unowned
    before, _judge_unowned = _judge_unowned, judge
    network.install(ask_owner)
    network.arm()
    try:
        yield
    finally:
        network.disarm()
        _judge_unowned = before


def arm() -> None:
    """Begin to ask; each call needs its `disarm`."""
    network.install(ask_owner)
    network.arm()
    programs.install(ask_owner_of_program)
    programs.arm()
    spoken_http.arm(ask_owner_of_http)


def disarm() -> None:
    """End what one `arm` began."""
    network.disarm()
    programs.disarm()
    spoken_http.disarm()


def ask_owner(host: str, port: int | None) -> None:
    """Raise if the connection must not be made.

    Raises:
        AgentTapeError: Its owner blocks it.
    """
    found = current()
    if found is None:
        unowned = _judge_unowned(host, port) if _judge_unowned is not None else None
        if unowned is not None:
            raise unowned
        return
    if found.is_aside:
        return
    error = found.owner.blocks(host, port, found.running)
    if error is not None:
        raise found.owner.refuse(error)


def ask_owner_of_http(request: SpokenRequest) -> None:
    """Raise if a *request* that no transport sends must not be made; a proxy of the test's own passes it on.

    Raises:
        AgentTapeError: Its owner blocks it.
    """
    __tracebackhide__ = True
    if is_outside():  # as a proxy is: the request that it passes on was judged
        return
    found = current(lambda: request.url, request.method)
    if found is None or found.is_aside or found.owner.admits(request.method, request.url):
        return
    error = found.owner.blocks(request.host, request.port, found.running)
    if error is not None:
        raise found.owner.refuse(error)


def ask_owner_of_program(program: Program) -> None:
    """Return if *program* may be started; raising keeps it from being started.

    Raises:
        AgentTapeError: Its owner blocks it.
    """
    __tracebackhide__ = True
    found = current()
    if found is None or found.running is not None:  # what a live call starts is its own affair
        return
    error = programs.blocked(program, found.owner.allow_programs, found.owner.title)
    if error is not None:
        raise found.owner.refuse(error)
