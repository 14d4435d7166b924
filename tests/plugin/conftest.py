"""The project that each test of the plugin starts from, and a server on the loopback interface to call."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.inner_pytest import PLUGINS_FOUND, PLUGINS_NAMED
from tests.loopback import serving
from tests.plugin.project import AGENT, Origin, Project

# Otherwise each in-process inner run would import these and drop them again, with their library patches.
_OURS = (
    "plugin.audit",
    "plugin.lifecycle",
    "plugin.report.file",
    "plugin.report.shown_calls",
    "plugin.report.terminal",
    "plugin.handle",
    "plugin.verifying",
    "boundaries.decorators",
    "boundaries.shells",
    "transports.aiohttp.connector",
    "transports.http_client.connection",
    "transports.httpcore",
    "transports.requests",
    "transports.tls",
    "transports.urllib3.pool",
)
for _name in _OURS:
    importlib.import_module(f"pytest_agenttape.{_name}")
for _name in ("httpcore", "httpcore2", "openai.resources.chat.completions", "genai_prices"):
    with contextlib.suppress(ModuleNotFoundError):  # tests that need it skip themselves
        importlib.import_module(_name)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(
        "sys.dont_write_bytecode", True
    )  # a test file rewritten within the same second has the same mtime
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = Project(pytester)
    made.write(agent=AGENT)
    return made


@pytest.fixture
def autoload(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # sets these first
    """Let runs discover the installed plugins, as they do for a user."""
    for name in PLUGINS_NAMED:
        monkeypatch.delenv(name)
    for name, value in PLUGINS_FOUND.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def _server() -> Iterator[str]:
    with serving(_Handler) as url:
        yield url


@pytest.fixture
def origin(_server: str, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """Return a server that counts its requests; a project finds its URL in the environment variable ORIGIN."""
    _Handler.asked.clear()
    _Handler.statuses.clear()
    monkeypatch.setenv("ORIGIN", _server)
    return Origin(_server, _Handler.asked, _Handler.statuses)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[str] = []  # noqa: RUF012  # one server, one record
    statuses: list[int] = []  # noqa: RUF012  # as above

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = self.statuses.pop(0) if self.statuses else 200  # at once: a slow answer may outlive its test
        if self.path == "/slow":
            time.sleep(1.5)
        body = b'{"said": "hello"}' if not self.path.startswith("/big") else self.path.encode() * 500
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client timed out and is gone
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  # the same answer at any time
        return "Sat, 21 Nov 2026 12:00:00 GMT"

    def log_message(self, *_: object) -> None:
        """Say nothing."""
