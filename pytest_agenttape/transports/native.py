"""HTTP clients in C and Rust, whose calls the network guard cannot see: they are judged, and can not be recorded.

curl_cffi is what yfinance uses, primp what ddgs uses, impit what apify-client uses. What a tool sends while it is
recorded goes out as ever.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from pytest_agenttape import ownership
from pytest_agenttape.process.patching import Patch

_METHODS = ("request", "get", "head", "options", "delete", "post", "put", "patch", "trace", "stream")
_SENDING: dict[str, dict[str, tuple[str, ...]]] = {  # by library and class; "" is the module itself
    "curl_cffi.requests.session": {"Session": ("request", "ws_connect"), "AsyncSession": ("request", "ws_connect")},
    "impit": {"Client": _METHODS, "AsyncClient": _METHODS, "": _METHODS},
    "primp": {"Client": _METHODS, "AsyncClient": _METHODS, "": _METHODS},
}


def install(library: str) -> None:
    """Patch what sends a request in the clients of *library*, and in the module itself."""
    module = sys.modules[library]
    for name, methods in _SENDING[library].items():
        owner = getattr(module, name, None) if name else module
        for method in methods:
            if hasattr(owner, method):
                _patch(library.partition(".")[0], owner, method).install()


@functools.cache
def _patch(library: str, owner: Any, method: str) -> Patch:
    def wrap(send: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(send)

        def judge(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = signature.bind(*args, **kwargs).arguments
            url = urljoin(getattr(given.get("self"), "base_url", None) or "", str(given["url"]))
            _refuse(library, str(given.get("method", method)).upper(), url)

        def judged(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            judge(args, kwargs)
            return send(*args, **kwargs)

        async def judged_later(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            judge(args, kwargs)
            return await send(*args, **kwargs)

        return judged_later if inspect.iscoroutinefunction(send) else judged

    return Patch(owner, method, wrap)


def _refuse(library: str, method: str, url: str) -> None:
    """Let a request pass that no session owns, a live tool sends or whose host is allowed; else refuse it."""
    found = ownership.current(lambda: url, method)
    if found is None or found.owner.admits(method, url):
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    error = found.owner.blocks(
        host,
        parts.port,
        found.running,
        unrecordable=f"a request to {host} by {library} cannot be recorded or replayed, for Python sees nothing of it: "
        f'wrap the caller in @tool, or allow it: allow_hosts=["{host}"]',
    )
    if error is not None:
        raise found.owner.refuse(error)
