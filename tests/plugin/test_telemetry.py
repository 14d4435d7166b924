"""What frameworks report in the background is answered by the session: a test neither sends, records nor misses it."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project

TRACES = (
    "httpx2.post(os.environ['ORIGIN'] + '/v1/traces', content=b'x', headers={'content-type': 'application/x-protobuf'})"
)
TRACING = f"""
    import os
    import httpx2
    import pytest

    @pytest.mark.agenttape
    def test_it():
        assert {TRACES}.content == b''
"""


@pytest.mark.parametrize("client", ["httpx2", "requests", "urllib3", "urllib.request", "aiohttp"])
def test_it_is_answered_in_every_mode_and_neither_sent_nor_recorded(
    project: Project, origin: Origin, client: str
) -> None:
    send = {
        "httpx2": "import httpx2; return httpx2.post(url, content=b'x', headers=kind).content",
        "requests": "import requests; return requests.post(url, data=b'x', headers=kind).content",
        "urllib3": "import urllib3; return urllib3.PoolManager().request('POST', url, body=b'x', headers=kind).data",
        "urllib.request": "import urllib.request as u; return u.urlopen(u.Request(url, b'x', kind)).read()",
        "aiohttp": """
            import aiohttp, asyncio
            async def ask():
                async with aiohttp.ClientSession() as session, session.post(url, data=b'x', headers=kind) as answer:
                    return await answer.read()
            return asyncio.run(ask())
        """,
    }[client]
    send = "\n".join(f"        {line.strip() if client != 'aiohttp' else line[12:]}" for line in send.split("\n"))
    project.write(
        test_it=f"""
import os
import pytest
from agent import look_up

def send(url):
    kind = {{"Content-Type": "application/x-protobuf"}}
    if True:
{send}

@pytest.mark.agenttape
def test_it():
    look_up("Rome")
    assert send(os.environ["ORIGIN"] + "/v1/traces") == b""
"""
    )
    for args in (("--agenttape-record",), ()):
        result = project.run(*args)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["telemetry: 1 request of OpenTelemetry answered, none sent"])
    assert origin.asked == []
    assert "traces" not in project.cassette().read_text()


def test_a_thread_that_outlives_its_test_spoils_no_other(project: Project, origin: Origin) -> None:
    project.write(
        test_it=f"""
            import os, threading
            import httpx2
            import pytest
            from agent import look_up

            first_is_over, answers = threading.Event(), []

            def exporter():
                assert first_is_over.wait(20)
                answers.append({TRACES}.status_code)

            thread = threading.Thread(target=exporter)

            @pytest.mark.agenttape
            def test_first():
                thread.start()
                look_up("Rome")

            @pytest.mark.agenttape
            def test_second():
                look_up("Oslo")
                first_is_over.set()
                thread.join()
                assert answers == [200]
        """
    )
    project.record().assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)
    assert origin.asked == []


def test_a_late_call_that_is_only_like_telemetry_spoils_the_test(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
            import os, threading
            import httpx2
            import pytest
            from agent import look_up

            first_is_over = threading.Event()

            def late():
                assert first_is_over.wait(20)
                httpx2.post(os.environ['ORIGIN'] + '/v1/logs', json={'said': 1})

            thread = threading.Thread(target=late)

            @pytest.mark.agenttape
            def test_first():
                thread.start()
                look_up("Rome")

            @pytest.mark.agenttape
            def test_second():
                look_up("Oslo")
                first_is_over.set()
                thread.join()
        """
    )
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *AgentTapeError: a call for test_it.py::test_first was made after it had ended*"])
    assert origin.asked == []


def test_a_call_that_is_only_like_telemetry_is_recorded_and_missed(project: Project, origin: Origin) -> None:
    post = TRACES.replace("/v1/traces", "/v1/logs").replace("x-protobuf", "json")
    project.write(test_it=TRACING.replace(TRACES, post).replace("== b", "!= b"))
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/v1/logs"]
    project.write(test_it="import pytest\n\n@pytest.mark.agenttape\ndef test_it(): pass")
    project.run("--agenttape-strict").assert_outcomes(failed=1)


def test_recorded_telemetry_is_missed_where_it_is_recorded(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING.replace("== b", "!= b"))
    project.ini("agenttape_telemetry_hosts =")
    project.record().assert_outcomes(passed=1)
    project.write(test_it="import pytest\n\n@pytest.mark.agenttape\ndef test_it(): pass")
    project.run("--agenttape-strict").assert_outcomes(failed=1)
    assert origin.asked == ["/v1/traces"]


def test_an_empty_list_records_it_like_any_request(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING.replace("== b", "!= b"))
    project.ini("agenttape_telemetry_hosts =")
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/v1/traces"]
    assert "/v1/traces" in project.cassette().read_text()


def test_what_an_older_cassette_holds_of_it_is_not_missed(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING.replace("== b", "!= b"))
    project.ini("agenttape_telemetry_hosts =")
    project.record().assert_outcomes(passed=1)
    project.write(test_it=TRACING)
    project.ini("")
    result = project.run("--agenttape-strict")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("unplayed*")
    assert origin.asked == ["/v1/traces"]


def test_a_named_host_is_answered_and_the_known_ones_only_if_named(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING.replace("/v1/traces", "/any"))
    project.ini("agenttape_telemetry_hosts = 127.0.0.1")
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["telemetry: 1 request of 127.0.0.1 answered, none sent"])
    assert origin.asked == []


def test_an_ignored_host_gets_it(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING.replace("== b", "!= b"))
    project.ini("agenttape_ignore_hosts = 127.0.0.1")
    project.run().assert_outcomes(passed=1)
    assert origin.asked == ["/v1/traces"]


def test_workers_count_it_together(project: Project, origin: Origin) -> None:
    project.write(test_it=TRACING + TRACING.replace("test_it", "test_other"))
    result = project.run_apart("-p", "xdist", "-n2", "--agenttape-record")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["telemetry: 2 requests of OpenTelemetry answered, none sent"])
    assert origin.asked == []


def test_the_agents_sdk_traces_by_default(project: Project, origin: Origin) -> None:
    pytest.importorskip("agents")
    project.ini("agenttape_telemetry_hosts = 127.0.0.1")
    project.write(
        test_it="""
            import os
            import pytest
            from agent import look_up
            from agents import trace
            from agents.tracing import function_span, get_trace_provider
            from agents.tracing.processors import BackendSpanExporter, BatchTraceProcessor

            @pytest.mark.agenttape
            def test_it():
                exporter = BackendSpanExporter(api_key="key", endpoint=os.environ["ORIGIN"] + "/v1/traces/ingest")
                processor = BatchTraceProcessor(exporter)
                get_trace_provider().set_processors([processor])
                with trace("workflow"), function_span("look_up"):
                    look_up("Rome")
                processor.force_flush()
        """
    )
    for args in (("--agenttape-record",), ()):
        result = project.run_apart(*args)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["telemetry: 1 request of 127.0.0.1 answered, none sent"])
    assert origin.asked == []
