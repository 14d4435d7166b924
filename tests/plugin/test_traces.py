"""``--agenttape-report=run.otlp.json``: a run as spans of OpenTelemetry."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.standin import StandInProvider

AGENT = """
    import json

    import pytest
    import requests
    from openai import OpenAI
    from pytest_agenttape import memory_read, retrieval, tool

    TOOLS = [{"type": "function", "function": {"name": "find_flights", "description": "Find flights",
              "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]

    @retrieval
    def look_up(query):
        return ["a page"]

    @memory_read
    def preferences(user):
        return {"seat": "aisle"}

    @tool
    def find_flights(city):
        look_up(f"flights to {city}")
        return {"flight": "LH 1170"}

    @tool
    def broken():
        raise ValueError("no seats")

    @pytest.mark.agenttape(allow_errors=True)
    def test_flights(origin):
        client = OpenAI(base_url=f"{origin}/v1", api_key="none")
        messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Which flights go to Rome?"}]
        message = client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS).choices[0].message
        (call,) = message.tool_calls
        found = find_flights(**json.loads(call.function.arguments))
        messages += [message.model_dump(exclude_none=True),
                     {"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)}]
        client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
        preferences("ada")
        with pytest.raises(ValueError):
            broken()
        requests.get(f"{origin}/nowhere")

    @pytest.mark.agenttape
    def test_nothing():
        pass

    @pytest.fixture
    def origin():
        return ORIGIN
"""


def parsed(document: Mapping[str, Any]) -> list[Span]:
    """Return the spans of *document* as OpenTelemetry's own definitions read them; an unknown field is an error."""
    # OTLP has its ids in hexadecimal, the JSON of protobuf any bytes in base64.
    text = json.dumps(_with_ids_in_base64(document))
    request = json_format.Parse(text, ExportTraceServiceRequest())
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    return list(scope.spans)


def _with_ids_in_base64(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_ids_in_base64(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64encode(bytes.fromhex(value)).decode()
        if key in ("traceId", "spanId", "parentSpanId")
        else _with_ids_in_base64(value)
        for key, value in node.items()
    }


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: _plain(each.value) for each in span.attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@pytest.fixture
def run(pytester: pytest.Pytester, standin_provider: StandInProvider) -> dict[str, Any]:
    """Return the trace of a run that replays the agent above."""
    pytester.makepyfile(test_trip=f"ORIGIN = {standin_provider.url!r}\n" + _dedented(AGENT))
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=2)
    return traced(pytester)


def _dedented(text: str) -> str:
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


def traced(pytester: pytest.Pytester, *options: str) -> dict[str, Any]:
    pytester.runpytest("--agenttape-report=run.otlp.json", *options)
    document: dict[str, Any] = json.loads((pytester.path / "run.otlp.json").read_text())
    return document


def test_a_run_is_a_trace_for_each_test_with_a_span_for_each_call(run: dict[str, Any]) -> None:
    spans = parsed(run)
    assert [each.name for each in spans] == [
        "test_trip.py::test_flights",
        "chat gpt-4o",
        "execute_tool find_flights",
        "retrieval look_up",
        "chat gpt-4o",
        "memory_read preferences",
        "execute_tool broken",
        "GET",
        "test_trip.py::test_nothing",
    ]
    root, _, tool, nested, *_, last = spans
    assert {each.trace_id for each in spans[:-1]} == {root.trace_id} != {last.trace_id}
    assert all(len(each.trace_id) == 16 and len(each.span_id) == 8 for each in spans)
    assert len({each.span_id for each in spans}) == len(spans)
    assert root.parent_span_id == b""
    assert nested.parent_span_id == tool.span_id
    assert {each.parent_span_id for each in spans[1:-1] if each is not nested} == {root.span_id}
    assert attributes(root)["test.case.result.status"] == "pass"


def test_a_call_of_a_model_has_the_words_of_the_conventions(run: dict[str, Any]) -> None:
    asked, answered = [each for each in parsed(run) if each.name == "chat gpt-4o"]
    assert asked.kind == Span.SPAN_KIND_CLIENT
    said = attributes(asked)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "gpt-4o"
    assert said["gen_ai.response.model"].startswith("gpt-4o")
    assert said["gen_ai.response.finish_reasons"] == ["tool_calls"]
    assert said["gen_ai.usage.input_tokens"] > 0
    assert said["server.address"] == "127.0.0.1"
    assert json.loads(said["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Which flights go to Rome?"}]},
    ]
    (message,) = json.loads(said["gen_ai.output.messages"])
    (part,) = message["parts"]
    assert (part["type"], part["name"], part["arguments"]) == ("tool_call", "find_flights", {"city": "Rome"})
    result = json.loads(attributes(answered)["gen_ai.input.messages"])[-1]["parts"][0]
    assert (result["type"], result["id"]) == ("tool_call_response", part["id"])


def test_a_tool_has_its_arguments_and_its_result_and_a_failure_its_type(run: dict[str, Any]) -> None:
    spans = {each.name: each for each in parsed(run)}
    said = attributes(spans["execute_tool find_flights"])
    assert said["gen_ai.operation.name"] == "execute_tool"
    assert said["gen_ai.tool.name"] == "find_flights"
    assert json.loads(said["gen_ai.tool.call.arguments"]) == {"city": "Rome"}
    assert json.loads(said["gen_ai.tool.call.result"]) == {"flight": "LH 1170"}
    assert said["agenttape.live"] is False
    broken = spans["execute_tool broken"]
    assert attributes(broken)["error.type"] == "ValueError"
    assert (broken.status.code, broken.status.message) == (Status.STATUS_CODE_ERROR, "ValueError: no seats")
    request = spans["GET"]
    assert attributes(request)["http.response.status_code"] == 404
    assert attributes(request)["error.type"] == "404"
    assert attributes(spans["retrieval look_up"])["gen_ai.operation.name"] == "retrieval"


def test_spans_lie_in_the_time_of_the_recording_and_inside_of_each_other(run: dict[str, Any]) -> None:
    root, *calls = parsed(run)[:-1]
    for each in calls:
        assert root.start_time_unix_nano <= each.start_time_unix_nano <= each.end_time_unix_nano
        assert each.end_time_unix_nano <= root.end_time_unix_nano


def test_the_same_recording_is_the_same_trace_each_time_and_over_workers(
    run: dict[str, Any], pytester: pytest.Pytester
) -> None:
    spans = parsed(run)[:-1]  # the last test has no recording
    assert parsed(traced(pytester))[:-1] == spans
    assert parsed(traced(pytester, "-p", "xdist", "-n", "2"))[:-1] == spans


@pytest.mark.usefixtures("run")
def test_a_failed_test_is_a_failed_trace(pytester: pytest.Pytester) -> None:
    path = pytester.path / "test_trip.py"
    path.write_text(path.read_text().replace("Be kind.", "Be brief."))
    failed = parsed(traced(pytester))[0]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "matches no unplayed interaction" in failed.status.message
    assert attributes(failed)["test.case.result.status"] == "fail"


def test_half_a_character_is_replaced(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_agenttape import tool

        @tool
        def broken(what):
            raise ValueError(what)

        @pytest.mark.agenttape
        def test_it():
            with pytest.raises(ValueError):
                broken("\\udc80")
        """
    )
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=1)
    assert parsed(traced(pytester))[1].status.message == "ValueError: ?"


def test_a_trace_is_of_a_run(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--agenttape-diff", "main", "--agenttape-report=run.otlp.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --agenttape-report=run.otlp.json: a trace is of a run; *"])
