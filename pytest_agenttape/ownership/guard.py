"""Asks the owner of a connection before it leaves the machine."""

from __future__ import annotations

from pytest_agenttape.ownership.scopes import current


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
