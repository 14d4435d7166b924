"""In replay nothing leaves the machine. The tests catch and count every attempt below the guard; none gets out."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_agenttape import RecordingRefusedError, hosts, record_call, use_cassette
from pytest_agenttape.process import network
from tests.plugin.project import Origin, Project

_escaped: list[str] = []
_watching = False

# Before the hook below, so it comes first; a session installs its own.
network.install(lambda _host, _port: None)


@sys.addaudithook
def _net(event: str, args: tuple[object, ...]) -> None:
    if _watching and event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"):
        target = args[:1] if event.startswith("socket.get") else args[1]
        host = str(target[0]) if isinstance(target, tuple) else ""
        if host not in ("", "None", socket.gethostname()) and not hosts.is_local(host):
            _escaped.append(host)
            raise OSError(f"caught below the guard: {host}")


@pytest.fixture(autouse=True)
def escaped() -> Iterator[list[str]]:
    """Return the hosts that the guard let through; they are stopped here."""
    global _watching
    _escaped.clear()
    _watching = True
    yield _escaped
    _watching = False


ASK = {
    "socket": "socket.create_connection(('api.invalid', 443), timeout=1)",
    "smtplib": "smtplib.SMTP('api.invalid', 25, timeout=1)",
    "asyncio": "asyncio.run(asyncio.open_connection('api.invalid', 443))",
    "a thread": "concurrent.futures.ThreadPoolExecutor().submit(socket.getaddrinfo, 'api.invalid', 80).result()",
}
HEAD = """
import asyncio, concurrent.futures, smtplib, socket
import pytest
from agent import look_up

"""

ASK_ORIGIN = "import os, httpx2\nassert httpx2.get(os.environ['ORIGIN'] + '/x').json() == {'said': 'hello'}"


def write(project: Project, body: str, marker: str = "") -> None:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (project.path / "test_it.py").write_text(f"{HEAD}@pytest.mark.agenttape({marker})\ndef test_it():\n{lines}\n")


@pytest.mark.parametrize("name", ASK)
def test_a_connection_is_refused_before_its_name_is_looked_up(project: Project, escaped: list[str], name: str) -> None:
    write(project, ASK[name])
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *NetworkBlockedError: connection to api.invalid* blocked: in replay nothing leaves the machine",
            "E *in *test_it.py::test_it",
            'E *allow it  allow_hosts=[[]"api.invalid"[]] on the marker or in agenttape.toml',
        ]
    )
    assert escaped == []


def test_the_library_is_named_and_the_way_to_record_it(project: Project) -> None:
    write(project, ASK["smtplib"])
    project.run().stdout.fnmatch_lines(
        ["E *by *smtplib, whose calls are not replayed: wrap the caller in @tool to record it"]
    )


def test_swallowed_it_fails_the_test_at_the_line_that_connected(project: Project) -> None:
    write(project, f"try:\n    {ASK['smtplib']}\nexcept Exception:\n    pass")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*SMTP(*", "E *NetworkBlockedError: connection to api.invalid:25 blocked*"])


@pytest.mark.parametrize("rule", ["api.invalid", "*.invalid", "api.invalid:443"])
def test_allow_hosts_on_the_marker_lets_it_through(project: Project, escaped: list[str], rule: str) -> None:
    write(
        project, f"with pytest.raises(OSError, match='caught'):\n    {ASK['socket']}", marker=f"allow_hosts=[{rule!r}]"
    )
    result = project.run()
    result.assert_outcomes(passed=1)
    assert escaped == ["api.invalid"]


def test_allow_hosts_in_the_configuration_lets_it_through(project: Project) -> None:
    write(project, f"with pytest.raises(OSError, match='caught'):\n    {ASK['socket']}")
    project.ini("agenttape_allow_hosts = api.invalid")
    project.run().assert_outcomes(passed=1)
    project.ini("agenttape_allow_hosts = other.invalid")
    project.run().assert_outcomes(failed=1)


def test_block_network_false_switches_it_off(project: Project) -> None:
    write(project, f"with pytest.raises(OSError, match='caught'):\n    {ASK['socket']}")
    (project.path / "agenttape.toml").write_text("block_network = false\n")
    project.run().assert_outcomes(passed=1)


def test_a_bad_rule_names_the_valid_ones(project: Project) -> None:
    write(project, "pass", marker="allow_hosts=['https://api.invalid/']")
    result = project.run()
    assert result.ret != 0
    message = "*allow_hosts = [[]'https://api.invalid/'[]]: 'https://api.invalid/' is not a host. Valid: a name (api.e*"
    (result.stderr if result.ret == pytest.ExitCode.USAGE_ERROR else result.stdout).fnmatch_lines([message])


def test_loopback_and_unix_sockets_are_free(project: Project) -> None:
    write(
        project,
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(('localhost', server.getsockname()[1])).close()\n"
        "server.close()\n"
        "a, b = socket.socketpair()\n"
        "a.close(), b.close()",
    )
    project.run().assert_outcomes(passed=1)


def test_a_test_without_a_marker_is_left_alone(project: Project) -> None:
    write(project, f"with pytest.raises(OSError, match='caught'):\n    {ASK['socket']}")
    path = project.path / "test_it.py"
    path.write_text(
        path.read_text().replace("@pytest.mark.agenttape()\n", "") + "\n@pytest.mark.agenttape\ndef test_b(): pass\n"
    )
    project.run().assert_outcomes(passed=2)


GAP = [
    "E *RecordingRefusedError: a connection was made that nothing records, and that replay would block: api.invalid; "
    "the recording is not kept",
    'E *wrap the caller in @tool, or allow the connection in replay as well: allow_hosts=[[]"api.invalid"[]] on the *',
]


def test_a_recording_that_lacks_a_connection_is_refused(project: Project, escaped: list[str]) -> None:
    write(project, f"with pytest.raises(OSError):\n    {ASK['socket']}")
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(GAP)
    assert escaped == ["api.invalid"]
    assert not list(project.path.rglob("*.yaml"))


def test_the_library_that_is_not_recorded_is_named(project: Project, escaped: list[str]) -> None:
    write(project, "with pytest.raises(OSError): smtplib.SMTP('api.invalid', 25, timeout=1)")
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RecordingRefusedError: *would block: api.invalid by smtplib;*"])
    assert escaped


def test_a_gap_is_reported_where_the_recording_test_fails_for_another_reason(
    project: Project, escaped: list[str]
) -> None:
    write(project, f"with pytest.raises(OSError):\n    {ASK['socket']}\nlook_up('Rome')\nassert 1 == 2")
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *assert 1 == 2", "E *agenttape: a connection was made that nothing records, *"])
    result.stdout.no_fnmatch_line("pending:*")
    assert escaped


def test_a_block_that_lacks_a_connection_is_refused(tmp_path: Path) -> None:
    @use_cassette(tmp_path / "c.yaml", mode="all")
    def run() -> None:
        record_call("tool", {"args": {}}, lambda: 1)
        with contextlib.suppress(OSError):
            socket.getaddrinfo("api.invalid", 80)

    with pytest.raises(RecordingRefusedError, match=r"replay would block: api\.invalid"):
        run()
    assert not list(tmp_path.iterdir())


# -- hosts that are never recorded


@pytest.mark.parametrize("where", ["marker", "ini"])
def test_calls_to_an_ignored_host_are_real_in_every_mode_and_never_recorded(
    project: Project, origin: Origin, where: str
) -> None:
    write(project, ASK_ORIGIN, marker='ignore_hosts=["127.0.0.1"]' if where == "marker" else "")
    if where == "ini":
        project.ini("agenttape_ignore_hosts = 127.0.0.1")
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/x", "/x"]
    assert not list(project.path.rglob("*.yaml"))


def test_another_port_of_an_ignored_host_is_recorded(project: Project, origin: Origin) -> None:
    write(project, ASK_ORIGIN, marker='ignore_hosts=["127.0.0.1:1"]')
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/x"]


APPLICATION = """
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer
    import httpx2, pytest
    from agent import look_up

    class Application(BaseHTTPRequestHandler):
        def do_GET(self):
            body = look_up("Rome")["city"].encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_): pass

    @pytest.mark.agenttape(ignore_hosts=["127.0.0.1"])
    def test_it():
        with HTTPServer(("127.0.0.1", 0), Application) as server:
            threading.Thread(target=server.handle_request).start()
            assert httpx2.get(f"http://127.0.0.1:{server.server_port}").text == "Rome"
"""


def test_an_application_of_the_tests_runs_in_replay_and_what_it_asks_is_replayed(project: Project) -> None:
    project.write(test_it=APPLICATION)
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    project.write(test_it=APPLICATION.replace(".encode()", ".upper().encode()"))
    project.run().assert_outcomes(failed=1)
    assert project.live() == []


def test_an_ignored_host_may_be_connected_to_in_replay(project: Project, escaped: list[str]) -> None:
    write(project, f"with pytest.raises(OSError):\n    {ASK['socket']}", marker='ignore_hosts=["api.invalid"]')
    project.run().assert_outcomes(passed=1)
    assert escaped == ["api.invalid"]


def test_an_ignored_host_that_is_none_is_said_at_collection(project: Project) -> None:
    write(project, "pass", marker="ignore_hosts=['https://api.invalid/']")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*ignore_hosts = *: 'https://api.invalid/' *Valid: a name (api.example.com)*"])


RECORDED = {
    "httpx2": "import httpx2\nwith pytest.raises(httpx2.ConnectError): httpx2.get('http://api.invalid/x')",
    "httpx2, async": """
import httpx2
async def ask():
    async with httpx2.AsyncClient() as client:
        await client.get('http://api.invalid/x')
with pytest.raises(httpx2.ConnectError): asyncio.run(ask())
""",
    "aiohttp": """
import aiohttp
async def ask():
    async with aiohttp.ClientSession() as session:
        await session.get('http://api.invalid/x')
with pytest.raises(aiohttp.ClientConnectorError): asyncio.run(ask())
""",
    "requests": "import requests\nwith pytest.raises(OSError): requests.get('http://api.invalid/x')",
    "in a tool": f"""
from pytest_agenttape import tool
@tool
def look_up():
    try: {ASK["socket"]}
    except OSError: return "none"
look_up()
""",
}


@pytest.mark.parametrize("name", RECORDED)
def test_recording_says_nothing_of_what_it_records(project: Project, escaped: list[str], name: str) -> None:
    write(project, RECORDED[name].strip())
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*is not recorded*")
    assert escaped


def test_recording_says_nothing_of_an_allowed_host(project: Project) -> None:
    write(project, f"with pytest.raises(OSError):\n    {ASK['socket']}", marker='allow_hosts=["api.invalid"]')
    project.run("--agenttape-record").stdout.no_fnmatch_line("*is not recorded*")
