"""botocore's signatures: AWS refuses one that is older than some minutes, as it would be by a recording's clock."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from pytest_agenttape import ownership
from pytest_agenttape.process.freeze import unpinned


def install(library: str) -> None:
    """Patch `RequestSigner.sign`."""
    signer = getattr(sys.modules[library], "RequestSigner", None)
    real = getattr(signer, "sign", None)
    if signer is not None and real is not None and not hasattr(real, "__agenttape__"):
        signer.sign = _wrap(real)


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def sign(self: Any, *args: Any, **options: Any) -> Any:
        found = ownership.peek()
        if found is None or not found.owner.can_execute:
            return real(self, *args, **options)
        with unpinned():
            return real(self, *args, **options)

    sign.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return sign
