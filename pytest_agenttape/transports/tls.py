"""One TLS context for all clients built during replay: they never connect, and each context takes 28-46 ms.

Third-party private used here: `_transports.default.create_ssl_context` of httpx 0.28 and httpx2 2.x.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from pytest_agenttape import ownership

_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def install(module: str) -> None:
    """Make clients whose default transport lives in *module* share a context while everything is replayed."""
    transport = sys.modules[module]
    create = getattr(transport, "create_ssl_context", None)
    if create is not None and not hasattr(create, "__agenttape__"):
        shared: Any = _shared(create)
        shared.__agenttape__ = True  # our mark
        transport.create_ssl_context = shared  # type: ignore[attr-defined]  # the private named above


def _shared(create: Callable[..., Any]) -> Callable[..., Any]:
    contexts: dict[tuple[object, ...], Any] = {}

    @functools.wraps(create)
    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        if not ownership.only_replays() or cert is not None or not isinstance(verify, bool):
            return create(verify=verify, cert=cert, trust_env=trust_env)
        key = (verify, trust_env, *(os.environ.get(name) for name in _FILES))
        if key not in contexts:
            contexts[key] = create(verify=verify, cert=cert, trust_env=trust_env)
        return contexts[key]

    return create_ssl_context
