"""Asks the owner of a connection before it leaves the machine, and that of a program before it starts."""

from __future__ import annotations

from pytest_agenttape.ownership.scopes import current
from pytest_agenttape.process import network, programs
from pytest_agenttape.process.programs import Program


def arm() -> None:
    """Begin to ask; each call needs its `disarm`."""
    network.install(ask_owner)
    network.arm()
    programs.install(ask_owner_of_program)
    programs.arm()


def disarm() -> None:
    """End what one `arm` began."""
    network.disarm()
    programs.disarm()


def ask_owner(host: str, port: int | None) -> None:
    """Raise if the connection must not be made.

    Raises:
        AgentTapeError: Its owner blocks it.
    """
    found = current()
    if found is None or found.is_aside:
        return
    error = found.owner.blocks(host, port, found.running)
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
