"""The names of other libraries that the transports use: they are there, and a release without one is named at once."""

from __future__ import annotations

import http.client
import importlib
import importlib.metadata
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from unittest import mock

import aiohttp
import pytest
import responses
import urllib3
from respx.mocks import HTTPCoreMocker

LIBRARIES = ("httpcore", "httpcore2")


class TestAreThere:
    """Canaries: where one fails, a library has changed, and the file that uses the name has to follow."""

    @pytest.mark.parametrize("name", ["_patches", "registry", "start", "stop", "targets", "target_methods"])
    def test_in_respx(self, name: str) -> None:
        assert hasattr(HTTPCoreMocker, name)

    @pytest.mark.parametrize("library", LIBRARIES)
    def test_in_httpcore(self, library: str) -> None:
        module = importlib.import_module(library)
        assert module.ConnectionPool.handle_request.__name__ == "handle_request"
        assert module.AsyncConnectionPool.handle_async_request.__name__ == "handle_async_request"
        assert {"wait", "set"} <= vars(module._synchronization.AsyncEvent).keys()

    @pytest.mark.parametrize(
        "name", ["_read_nowait_chunk", "_wait", "_timer", "_buffer", "_buffer_offset", "_cursor", "_eof", "_exception"]
    )
    def test_in_the_reader_of_aiohttp(self, name: str) -> None:
        assert hasattr(aiohttp.StreamReader, name)

    def test_in_aiohttp(self) -> None:
        assert {"_body", "_continue", "send"} <= vars(aiohttp.ClientRequest).keys()
        assert "_timer" in aiohttp.ClientRequest.__init__.__code__.co_names
        assert "_cancelled" in aiohttp.helpers.TimerContext.__slots__
        assert "_loop" in aiohttp.BaseConnector.__init__.__code__.co_names
        assert str(aiohttp.client_reqrep._CONNECTION_CLOSED_EXCEPTION) == "Connection closed"
        assert "_CONNECTION_CLOSED_EXCEPTION" in aiohttp.ClientResponse._notify_content.__code__.co_names

    def test_in_the_websockets_of_aiohttp(self) -> None:
        response, writer = aiohttp.ClientWebSocketResponse, aiohttp.http.WebSocketWriter
        assert inspect.iscoroutinefunction(inspect.unwrap(aiohttp.ClientSession._ws_connect))
        assert {"_writer", "_reader"} <= set(response.__init__.__code__.co_names)
        assert [*inspect.signature(writer.send_frame).parameters] == ["self", "message", "opcode", "compress"]
        for sends in (response.ping, response.send_str, response.send_bytes, response._send_heartbeat, writer.close):
            assert "send_frame" in sends.__code__.co_names
        assert "_reader" in inspect.unwrap(response.receive).__code__.co_names
        assert [*inspect.signature(response._handle_ping_pong_exception).parameters] == ["self", "exc"]
        assert callable(importlib.import_module("aiohttp.client_ws").WebSocketDataQueue.set_exception)

    def test_in_websockets(self) -> None:
        client = pytest.importorskip("websockets.asyncio.client")
        of_a_connect = set(client.connect.__init__.__code__.co_names)
        assert of_a_connect & {"connection_kwargs", "create_connection_kwargs"}
        sync = importlib.import_module("websockets.sync.client")
        if hasattr(sync, "reconnect"):
            assert "connect" in vars(sync.reconnect)
            assert {"uri", "sock"} <= set(sync.reconnect.__init__.__code__.co_names)
        else:
            assert not inspect.unwrap(sync.connect).__code__.co_freevars

    @pytest.mark.parametrize("library", ["httpx", "httpx2"])
    def test_in_httpx(self, library: str) -> None:
        assert callable(importlib.import_module(f"{library}._transports.default").create_ssl_context)

    def test_in_responses(self) -> None:
        assert {"_on_request", "unbound_on_send"} <= vars(responses.RequestsMock).keys()
        made = responses.RequestsMock()
        assert {"_real_send", "_patcher"} <= vars(made).keys()
        send = made.unbound_on_send()
        assert send.__qualname__ == "RequestsMock.unbound_on_send.<locals>.send"
        assert send.__module__ == "responses"

    def test_in_urllib3(self) -> None:
        assert type(urllib3.HTTPResponse().headers) is urllib3._collections.HTTPHeaderDict
        assert {"_fp", "fp", "readline"} <= set(urllib3.HTTPResponse._update_chunk_length.__code__.co_names)
        assert {"_fp", "_safe_read"} <= set(urllib3.HTTPResponse._handle_chunk.__code__.co_names)

    def test_in_http_client(self) -> None:
        assert {"connect", "putrequest", "send", "getresponse", "close"} <= vars(http.client.HTTPConnection).keys()
        assert {"_tunnel_host", "_tunnel_port"} <= vars(http.client.HTTPConnection("localhost")).keys()

    def test_in_botocore(self) -> None:
        from botocore import awsrequest, credentials, httpsession

        assert httpsession.URLLib3Session.send.__name__ == "send"
        assert awsrequest.AWSResponse("", 200, {}, None)._content is None
        assert credentials.EnvProvider.METHOD == "env"
        assert credentials.CredentialResolver([]).providers == []
        assert callable(credentials.CredentialResolver.load_credentials)
        for reads in (
            credentials.RefreshableCredentials.access_key.fget,
            credentials.RefreshableCredentials.get_frozen_credentials,
        ):
            code = inspect.unwrap(reads).__code__
            assert "_refresh" in code.co_names

    def test_in_mcp(self) -> None:
        stdio = pytest.importorskip("mcp.client.stdio")
        create = inspect.unwrap(stdio._create_platform_compatible_process)
        assert [*inspect.signature(create).parameters][:2] == ["command", "args"]
        assert "_create_platform_compatible_process" in inspect.unwrap(stdio.stdio_client).__code__.co_names

    def test_in_claude_agent_sdk(self) -> None:
        sdk = pytest.importorskip("claude_agent_sdk")
        module = importlib.import_module("claude_agent_sdk._internal.transport.subprocess_cli")
        transport = module.SubprocessCLITransport
        assert issubclass(transport, sdk.Transport)
        assert set(importlib.import_module("pytest_agenttape.transports.claude.program")._METHODS) == {
            each for each in vars(sdk.Transport) if not each.startswith("_")
        }
        assert "_options" in transport.__init__.__code__.co_names
        assert "_options" in inspect.unwrap(transport.connect).__code__.co_names

    def test_in_grpc(self) -> None:
        channel = pytest.importorskip("grpc._channel")
        from grpc._cython import cygrpc
        from grpc.aio import _call

        unary = channel._UnaryUnaryMultiCallable
        assert "_blocking" in inspect.unwrap(unary.__call__).__code__.co_names
        assert {"_target", "_method", "_request_serializer", "_response_deserializer"} <= {*dir(unary)}
        assert {"time", "_RPCState", "_abort", "_event_handler"} <= vars(channel).keys()
        assert "channel" in inspect.signature(_call.UnaryUnaryCall.__init__).parameters
        asked = set()
        for each in vars(_call).values():
            for method in vars(each).values() if isinstance(each, type) else ():
                asked.update(getattr(getattr(method, "__code__", None), "co_names", ()))
        ours = importlib.import_module("pytest_agenttape.transports.grpc.aio_call")
        of_the_core = {name for name in dir(cygrpc._AioCall) if not name.startswith("__")} & asked - {"_repr"}
        assert of_the_core <= {*dir(ours.Call), *ours._ASKED}

    @pytest.mark.parametrize(
        ("lacking", "name"),
        [
            ("grpc._channel._UnaryUnaryMultiCallable._blocking", "_UnaryUnaryMultiCallable._blocking"),
            ("grpc._channel._RPCState", "_RPCState"),
            ("grpc.aio._call.StreamStreamCall", "StreamStreamCall"),
        ],
    )
    def test_a_grpc_without_them_is_refused(self, tmp_path: Path, lacking: str, name: str) -> None:
        pytest.importorskip("grpc")
        answer = said(tmp_path, f"import grpc._channel\ndel {lacking}")
        assert answer.startswith(f"grpcio {importlib.metadata.version('grpcio')} has no ")
        assert name in answer.partition(",")[0]

    def test_in_the_standard_library(self) -> None:
        before, patch = os.curdir, mock.patch("os.curdir", new="here")
        patch.start()
        try:
            assert patch.temp_original == before
        finally:
            patch.stop()


SCRIPT = """
import sys
from pathlib import Path
from pytest_agenttape import AgentTapeError, use_cassette

{before}
try:
    with use_cassette(Path(sys.argv[1]), mode=sys.argv[2]) as session:
{inside}
        print("the session went on")
except AgentTapeError as error:
    print(error)
"""


def said(tmp_path: Path, before: str = "", inside: str = "pass", mode: str = "all", path: str = "") -> str:
    """Return what a process prints that does *before*, and *inside* of a session."""
    source = SCRIPT.format(before=textwrap.dedent(before), inside=textwrap.indent(textwrap.dedent(inside), " " * 8))
    done = subprocess.run(
        [sys.executable, "-c", source, str(tmp_path / "c.yaml"), mode],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, os.getcwd()]))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# What a future release may have renamed, and how the error names it.
RENAMED = {
    "httpcore's pool": (
        "httpcore",
        "del httpcore.ConnectionPool, httpcore._sync.connection_pool.ConnectionPool",
        "ConnectionPool.handle_request",
    ),
    "httpcore2's pool": (
        "httpcore2",
        "del httpcore2.ConnectionPool, httpcore2._sync.connection_pool.ConnectionPool",
        "ConnectionPool.handle_request",
    ),
    "httpcore2's async pool": (
        "httpcore2",
        "del httpcore2.AsyncConnectionPool, httpcore2._async.connection_pool.AsyncConnectionPool",
        "AsyncConnectionPool.handle_async_request",
    ),
    "the method of httpcore2's pool": (
        "httpcore2",
        "from httpcore2._sync.interfaces import RequestInterface\n"
        "del httpcore2.ConnectionPool.handle_request, RequestInterface.handle_request",
        "ConnectionPool.handle_request",
    ),
    "httpcore2's event": ("httpcore2", "del httpcore2._synchronization.AsyncEvent", "AsyncEvent"),
    "respx's patches": ("respx", "import respx.mocks; del respx.mocks.HTTPCoreMocker._patches", "_patches"),
    "the hook of responses": (
        "responses",
        "import requests; del responses.RequestsMock._on_request",
        "RequestsMock._on_request",
    ),
    "the function in the place of the adapter's": (
        "responses",
        "import requests\n"
        "mock = responses.RequestsMock()\n"
        "mock.unbound_on_send = lambda: responses._renamed\n"
        "def _renamed(*_, **__): raise SystemExit('answered')\n"
        "_renamed.__module__ = 'responses'\n"
        "responses._renamed = _renamed\n"
        "mock.start()",
        "RequestsMock.unbound_on_send",
    ),
    "the send of botocore": (
        "botocore",
        "import botocore.httpsession; del botocore.httpsession.URLLib3Session.send",
        "URLLib3Session.send",
    ),
    "how botocore refreshes credentials": (
        "botocore",
        "import botocore.httpsession, botocore.credentials\ndel botocore.credentials.RefreshableCredentials._refresh",
        "RefreshableCredentials._refresh",
    ),
    "the urlopen of urllib3": (
        "urllib3",
        "import urllib3; del urllib3.HTTPConnectionPool.urlopen",
        "HTTPConnectionPool.urlopen",
    ),
    "the connector of aiohttp": (
        "aiohttp",
        "del aiohttp.BaseConnector.connect",
        "BaseConnector.connect",
    ),
    "a connector of aiohttp that connects by itself": (
        "aiohttp",
        "async def connect(self, *_): raise SystemExit('connected')\naiohttp.TCPConnector.connect = connect",
        "TCPConnector that connects by BaseConnector.connect",
    ),
    "how websockets receives": (
        "websockets",
        "import websockets.asyncio.client as client, websockets.asyncio.connection as base\n"
        "del base.Connection.recv_streaming",
        "ClientConnection.recv_streaming",
    ),
    "where websockets keeps how it connects": (
        "websockets",
        "import websockets.asyncio.client as client\ndef __init__(self, uri): self.uri = uri\n"
        "client.connect.__init__ = __init__",
        "asyncio.client.connect.create_connection_kwargs",
    ),
    "how aiohttp reads a body": (
        "aiohttp",
        "del aiohttp.StreamReader._read_nowait_chunk",
        "StreamReader._read_nowait_chunk",
    ),
    "how aiohttp opens a WebSocket": (
        "aiohttp",
        "del aiohttp.ClientSession._ws_connect",
        "ClientSession._ws_connect",
    ),
    "how a WebSocket of aiohttp sends": (
        "aiohttp",
        "del aiohttp.http.WebSocketWriter.send_frame",
        "WebSocketWriter.send_frame",
    ),
    "what starts mcp's servers": (
        "mcp",
        "import mcp.client.stdio as stdio; del stdio._create_platform_compatible_process",
        "_create_platform_compatible_process",
    ),
    "what starts mcp's servers, which is there and not used": (
        "mcp",
        "import mcp.client.stdio as stdio\n"
        "async def client(server): ...\n"
        "client.__module__ = stdio.__name__\n"
        "stdio.stdio_client = client",
        "_create_platform_compatible_process",
    ),
    "how urllib3 reads chunks": (
        "urllib3",
        "import requests\n"
        "def read(self, amt): return self._fp._renamed(amt)\n"
        "urllib3.HTTPResponse._handle_chunk = read",
        "HTTPResponse",
    ),
}


@pytest.mark.variants(6)
@pytest.mark.parametrize("renamed", list(RENAMED))
def test_a_recording_does_not_begin_without_it(tmp_path: Path, renamed: str) -> None:
    library, before, name = RENAMED[renamed]
    pytest.importorskip(library)
    answer = said(tmp_path, f"import {library}\n{before}")
    assert answer.startswith(f"{library} {importlib.metadata.version(library)} has no ")
    assert name in answer.partition(",")[0]
    assert not (tmp_path / "c.yaml").exists()


@pytest.mark.parametrize("library", ["urllib3", "requests"])
def test_a_fork_in_the_place_of_urllib3_is_named_with_the_way_to_have_both(tmp_path: Path, library: str) -> None:
    answer = said(tmp_path, f"import {library}, urllib3\nurllib3.AsyncHTTPConnectionPool = object")
    assert answer == (
        "urllib3-future, which niquests installs, took the place of urllib3, and what goes through it cannot be "
        "recorded; to have both: pip uninstall urllib3-future urllib3, "
        "then URLLIB3_NO_OVERRIDE=1 pip install --no-binary urllib3-future niquests urllib3"
    )


def test_a_replay_does_not_begin_without_it(tmp_path: Path) -> None:
    assert "httpcore2" in said(tmp_path, "import httpcore2; del httpcore2.ConnectionPool", mode="none")


def test_the_next_session_does_not_begin_either(tmp_path: Path) -> None:
    before = """
        import httpcore2
        del httpcore2.ConnectionPool
        try:
            use_cassette(Path(sys.argv[1])).open()
        except AgentTapeError:
            pass
    """
    assert "httpcore2" in said(tmp_path, before)


def test_a_library_that_is_imported_in_the_session_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lib" / "httpcore2").mkdir(parents=True)
    (tmp_path / "lib" / "httpcore2" / "__init__.py").write_text("class Pool: ...\n")
    answer = said(tmp_path, inside="import httpcore2", path=str(tmp_path / "lib"))
    version = importlib.metadata.version("httpcore2")
    assert answer.startswith(f"httpcore2 {version} has no ConnectionPool.handle_request")


def test_a_trio_before_0_29_cannot_be_asked_whether_it_runs(tmp_path: Path) -> None:
    before = """
        import trio
        from pytest_agenttape import tool
        for each in "in_trio_run", "in_trio_task":
            vars(trio.lowlevel).pop(each, None)

        @tool
        async def look_up(city):
            return city
    """
    inside = """
        print(trio.run(look_up, "Rome"), end=", ")
    """
    assert said(tmp_path, before, inside) == "Rome, the session went on"
    assert said(tmp_path, before, inside, mode="none") == "Rome, the session went on"


MOVED = {
    "httpcore2's pool": (
        "import httpcore2\ndel httpcore2._sync.connection_pool.ConnectionPool",
        "httpcore2.request('GET', 'http://127.0.0.1:9/')",
    ),
    "the adapter of requests": (
        "import requests\nrequests.adapters.HTTPAdapter.send.__module__ = 'requests.sending'",
        "requests.get('http://127.0.0.1:9/')",
    ),
}


@pytest.mark.parametrize("moved", list(MOVED))
def test_what_has_only_moved_inside_its_library_is_recorded(tmp_path: Path, moved: str) -> None:
    before, ask = MOVED[moved]
    inside = f"""
        try:
            {ask}
        except Exception:
            print(len(session.interactions), "recorded")
    """
    assert said(tmp_path, before, inside).startswith("1 recorded")


def test_a_stand_in_of_the_users_for_the_pool_answers_while_it_is_there(tmp_path: Path) -> None:
    stand_in = "import httpcore2\nfrom unittest import mock\nhttpcore2.ConnectionPool = mock.MagicMock()"
    assert said(tmp_path, stand_in) == "the session went on"


def test_a_library_that_is_kept_from_being_imported_is_none(tmp_path: Path) -> None:
    assert said(tmp_path, "sys.modules['httpcore2'] = None") == "the session went on"


def test_under_pytest_the_marked_tests_say_so_and_the_others_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import httpcore2\ndel httpcore2.ConnectionPool")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.agenttape
        def test_marked():
            pass

        def test_unmarked():
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*AgentTapeError: httpcore2 * has no ConnectionPool.handle_request*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
