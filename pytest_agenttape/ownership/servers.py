"""Servers, as the stack shows them: what they call to answer a request is none of the agent's code."""

from __future__ import annotations

import functools
from types import FrameType

# Modules and packages whose functions call what answers a request.
_SERVERS = frozenset(
    """
    socketserver wsgiref werkzeug waitress cheroot uvicorn hypercorn aiohttp.web_protocol tornado.http1connection
    websockets.server websockets.sync.server websockets.asyncio.server websockets.legacy.server grpc._server
    """.split()
)


def serves(frame: FrameType | None) -> bool:
    """Return whether *frame*, or one that has called it, is a server's."""
    while frame is not None:
        if _is_server(str(frame.f_globals.get("__name__", ""))):
            return True
        frame = frame.f_back
    return False


@functools.lru_cache(maxsize=1024)  # asked for all callers of each wait
def _is_server(module: str) -> bool:
    return module in _SERVERS or module.partition(".")[0] in _SERVERS
