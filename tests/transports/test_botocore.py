"""boto3's clients, recorded against the stand-in and replayed."""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anthropic
import boto3
import botocore.credentials
import botocore.exceptions
import botocore.session
import botocore.utils
import pytest
from botocore.config import Config as BotoConfig
from botocore.loaders import JSONFileLoader

from pytest_agenttape import StreamingReplayError, UnmatchedInteractionError, use_cassette
from tests.standin import hang_up, raw
from tests.transports import amazon
from tests.transports.amazon import ASKED, MODEL
from tests.transports.conftest import Recorder


@pytest.fixture(scope="module", autouse=True)
def _descriptions_read_once() -> Iterator[None]:
    """Let sessions share what they read of each service's description: a client takes a quarter of a second without."""
    read = functools.cache(functools.partial(JSONFileLoader.load_file, JSONFileLoader()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE1234567890")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "recorded-secret-key-of-forty-characters-")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "recorded-session-token-0123456789abcdef")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Take every credential away, when called."""

    def take_away() -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    return take_away


def bedrock(recorder: Recorder, **options: Any) -> Any:
    session = boto3.Session(region_name="eu-west-1")
    return session.client("bedrock-runtime", endpoint_url=recorder.provider.url, **options)


def converse(recorder: Recorder) -> Any:
    return bedrock(recorder).converse(modelId=MODEL, messages=ASKED)


def converse_stream(recorder: Recorder) -> Any:
    answer = bedrock(recorder).converse_stream(modelId=MODEL, messages=ASKED)
    return answer["ResponseMetadata"]["HTTPStatusCode"], list(answer["stream"])


def invoke(recorder: Recorder) -> Any:
    answer = bedrock(recorder).invoke_model(modelId=MODEL, body=json.dumps(amazon.CLAUDE))
    return answer["contentType"], answer["body"].read()


def invoke_stream(recorder: Recorder) -> Any:
    body = json.dumps(amazon.CLAUDE)
    answer = bedrock(recorder).invoke_model_with_response_stream(modelId=MODEL, body=body)
    return list(answer["body"])


OPERATIONS: dict[str, tuple[Callable[[Recorder], Any], Any]] = {
    "converse": (converse, amazon.whole(amazon.WHOLE)),
    "converse-stream": (converse_stream, amazon.streamed(amazon.CONVERSED)),
    "invoke": (invoke, amazon.whole(amazon.MESSAGE)),
    "invoke-with-response-stream": (invoke_stream, amazon.streamed(amazon.INVOKED)),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_an_operation_of_bedrock_is_recorded_and_replayed(recorder: Recorder, operation: str) -> None:
    run, reply = OPERATIONS[operation]
    recorder.provider.reply(reply, to=amazon.path_of(operation))
    live = recorder.record(lambda: run(recorder))
    assert recorder.provider.hits == 1
    recorder.provider.stop()
    again = recorder.replay(lambda: run(recorder))
    assert _comparable(again) == _comparable(live)
    (recorded,) = recorder.interactions
    assert (recorded.kind, recorded.boundary) == ("llm", f"bedrock.{operation.partition('-')[0]}")
    assert recorded.metadata["model"] == MODEL
    assert recorded.response.keys() & {"json", "events"}
    assert recorded.usage


def _comparable(answer: Any) -> Any:
    return json.loads(json.dumps(answer, default=repr))


# What it leaves in the cassette ------------------------------------------------------------------------------------


def test_a_stream_of_converse_is_stored_readably(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.streamed(amazon.CONVERSED), to=amazon.path_of("converse-stream"))
    recorder.record(lambda: converse_stream(recorder))
    (recorded,) = recorder.interactions
    assert recorded.response["events"][1] == {
        "event": "contentBlockDelta",
        "data": {"contentBlockIndex": 0, "delta": {"text": "Let me "}, "p": "abcdef"},
    }
    assert "complete" not in recorded.response
    assert recorded.usage == {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def test_a_stream_of_an_invocation_is_stored_readably(recorder: Recorder) -> None:
    path = amazon.path_of("invoke-with-response-stream")
    recorder.provider.reply(amazon.streamed(amazon.INVOKED), to=path)
    recorder.record(lambda: invoke_stream(recorder))
    (recorded,) = recorder.interactions
    assert recorded.response["events"][2] == {
        "event": "chunk",
        "data": {"delta": {"text": "Mi", "type": "text_delta"}, "index": 0, "type": "content_block_delta"},
        "beside": {"p": "abcdefg"},
    }
    assert recorded.usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def test_no_credential_is_stored(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    text = recorder.path.read_text()
    assert not re.search("AKIAEXAMPLE|recorded-secret|recorded-session", text)
    assert "/eu-west-1/bedrock/aws4_request" in text


def test_a_secret_in_a_stream_is_taken_out_and_the_stream_still_reads(recorder: Recorder) -> None:
    key = "sk-" + "proj-" + "4f9Xq2Lm8Zr7Tn3Wb6Yc1Vd5Ks0Hj2Gp"
    pieces = [
        amazon.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}})
        for part in ("the key is ", key[:12], key[12:], ".")
    ]
    recorder.provider.reply(amazon.streamed(pieces), to=amazon.path_of("converse-stream"))
    recorder.record(lambda: converse_stream(recorder), allow_errors="truncated")
    assert key[:12] not in recorder.path.read_text()
    assert key[12:] not in recorder.path.read_text()
    _, events = recorder.replay(lambda: converse_stream(recorder))
    assert "REDACTED" in "".join(each["contentBlockDelta"]["delta"]["text"] for each in events)


# Credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_replay_needs_no_credentials(recorder: Recorder, operation: str, no_credentials: Callable[[], None]) -> None:
    run, reply = OPERATIONS[operation]
    recorder.provider.reply(reply, to=amazon.path_of(operation))
    live = recorder.record(lambda: run(recorder))
    no_credentials()
    assert _comparable(recorder.replay(lambda: run(recorder))) == _comparable(live)


def test_a_replay_takes_any_credentials(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    recorder.replay(lambda: converse(recorder))
    recorder.replay(lambda: converse(recorder), matchers=["exact"])


class Machine:
    """The metadata service of a machine on AWS, which is asked for credentials."""

    def __init__(self, recorder: Recorder) -> None:
        self.provider = recorder.provider

    def __call__(self) -> None:
        expires = (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
        role = {
            "Code": "Success", "AccessKeyId": "ASIAMACHINE0123456789", "SecretAccessKey": "secret-of-the-machine",
            "Token": "token-of-the-machine", "Expiration": expires,
        }  # fmt: skip
        base = "/latest/meta-data/iam/security-credentials/"
        self.provider.reply(raw(b"a-token"), to="/latest/api/token")
        self.provider.reply(raw(b"a-role"), to=base)
        self.provider.reply(amazon.whole(role), to=f"{base}a-role")


def test_a_recording_looks_them_up_and_keeps_nothing_of_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, no_credentials: Callable[[], None]
) -> None:
    no_credentials()
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", recorder.provider.url)
    Machine(recorder)()
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    assert recorder.provider.hits == 4
    assert "ASIAMACHINE0123456789" in recorder.provider.requests[-1].header("authorization")
    assert len(recorder.interactions) == 1
    assert "MACHINE" not in recorder.path.read_text().upper()
    recorder.replay(lambda: converse(recorder))


def test_a_replay_starts_no_program_for_them(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_credentials: Callable[[], None]
) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    no_credentials()
    (tmp_path / "config").write_text(f"[default]\ncredential_process = touch {tmp_path / 'started'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    recorder.replay(lambda: converse(recorder))
    assert not (tmp_path / "started").exists()


def test_the_metadata_of_the_machine_is_not_there_in_replay(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    fetcher = botocore.utils.InstanceMetadataFetcher(timeout=0.1, num_attempts=1)
    with use_cassette(recorder.path) as session:
        assert fetcher.retrieve_iam_role_credentials() == {}
    assert session.interactions == []


def test_credentials_that_refresh_themselves_do_not_in_replay(recorder: Recorder) -> None:
    def refresh() -> dict[str, str]:
        refreshed.append(True)
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return {"access_key": "ASIA", "secret_key": "secret", "token": "token", "expiry_time": later}

    def run() -> Any:
        core = botocore.session.get_session()
        core._credentials = botocore.credentials.DeferredRefreshableCredentials(refresh, "sts")
        client = boto3.Session(region_name="eu-west-1", botocore_session=core).client(
            "bedrock-runtime", endpoint_url=recorder.provider.url
        )
        return client.converse(modelId=MODEL, messages=ASKED)["output"]

    refreshed: list[bool] = []
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.both(run)
    assert refreshed == [True]


def test_a_client_that_outlives_a_replay_gets_credentials_of_its_own(
    recorder: Recorder, no_credentials: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.provider.script(amazon.whole(amazon.WHOLE), amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    no_credentials()
    clients: list[Any] = []

    def run() -> None:
        clients.append(bedrock(recorder))
        clients[0].converse(modelId=MODEL, messages=ASKED)

    recorder.replay(run)
    with pytest.raises(botocore.exceptions.NoCredentialsError):
        clients[0].converse(modelId=MODEL, messages=ASKED)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALATER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "later")
    clients[0].converse(modelId=MODEL, messages=ASKED)
    assert "Credential=AKIALATER/" in recorder.provider.requests[-1].header("authorization")


# Failures ----------------------------------------------------------------------------------------------------------


def failure_of(run: Callable[[], Any]) -> tuple[str, str]:
    try:
        run()
    except Exception as error:  # noqa: BLE001  # botocore's
        return type(error).__name__, str(error)
    return "", ""


QUICK = BotoConfig(retries={"total_max_attempts": 1}, read_timeout=0.3, connect_timeout=1)
FAILURES: dict[str, tuple[Any, str]] = {
    "a status": (amazon.whole({"message": "no"}, status=400), "ClientError"),
    "throttled": (amazon.whole({"message": "slow down"}, status=429), "ClientError"),
    "hung up": (hang_up(), "ConnectionClosedError"),
    "too late": (amazon.whole(amazon.WHOLE, delay=1), "ReadTimeoutError"),
}


@pytest.mark.parametrize("name", list(FAILURES))
def test_a_failure_is_raised_again(recorder: Recorder, name: str) -> None:
    reply, expected = FAILURES[name]

    def run() -> tuple[str, str]:
        client = bedrock(recorder, config=QUICK)
        return failure_of(lambda: client.converse(modelId=MODEL, messages=ASKED))

    recorder.provider.reply(reply, to=amazon.path_of("converse"))
    live = recorder.record(run, allow_errors=True)
    assert live[0] == expected
    assert recorder.replay(run, allow_errors=True) == live


def test_a_refused_connection_is_raised_again(recorder: Recorder) -> None:
    url = recorder.provider.url
    recorder.provider.stop()

    def run() -> tuple[str, str]:
        client = boto3.Session(region_name="eu-west-1").client("bedrock-runtime", endpoint_url=url, config=QUICK)
        return failure_of(lambda: client.converse(modelId=MODEL, messages=ASKED))

    live = recorder.record(run, allow_errors=True)
    assert live[0] == "EndpointConnectionError"
    assert recorder.replay(run, allow_errors=True) == live


def test_botocores_own_retries_are_replayed(recorder: Recorder) -> None:
    busy = amazon.whole({"message": "busy"}, status=503)
    recorder.provider.script(busy, amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    live = recorder.record(lambda: converse(recorder)["output"])
    assert recorder.replay(lambda: converse(recorder)["output"]) == live
    assert [each.response["status"] for each in recorder.interactions] == [503, 200]


def test_an_exception_in_a_stream_is_raised_again(recorder: Recorder) -> None:
    failing = [*amazon.CONVERSED[:3], amazon.event("throttlingException", {"message": "slow down"}, "exception")]
    recorder.provider.reply(amazon.streamed(failing), to=amazon.path_of("converse-stream"))
    live = recorder.record(lambda: failure_of(lambda: converse_stream(recorder)), allow_errors=True)
    assert live[0] == "EventStreamError"
    assert recorder.replay(lambda: failure_of(lambda: converse_stream(recorder)), allow_errors=True) == live
    assert recorder.interactions[0].response["events"][-1]["exception"] == "throttlingException"


def test_a_stream_that_breaks_is_replayed_as_far_as_it_came(recorder: Recorder) -> None:
    def run() -> tuple[int, str]:
        count = 0
        try:
            for _ in bedrock(recorder).converse_stream(modelId=MODEL, messages=ASKED)["stream"]:
                count += 1
        except Exception as error:  # noqa: BLE001  # urllib3's
            return count, type(error).__name__
        return count, ""

    recorder.provider.reply(amazon.streamed(amazon.CONVERSED, close_after=3), to=amazon.path_of("converse-stream"))
    live = recorder.record(run, allow_errors=True)
    assert live[0] == 3
    assert live[1]
    assert recorder.replay(run, allow_errors=True) == live


# Streams -----------------------------------------------------------------------------------------------------------


def read_some(recorder: Recorder, count: int) -> list[Any]:
    stream = bedrock(recorder).converse_stream(modelId=MODEL, messages=ASKED)["stream"]
    try:
        return [event for event, _ in zip(stream, range(count), strict=False)]
    finally:
        stream.close()


def test_a_stream_left_early_is_replayed_as_far_as_it_was_read(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.streamed(amazon.CONVERSED, chunk_delay=0.05), to=amazon.path_of("converse-stream"))
    live = recorder.record(lambda: read_some(recorder, 2))
    assert recorder.replay(lambda: read_some(recorder, 2)) == live
    assert recorder.interactions[0].response["complete"] is False
    with pytest.raises(StreamingReplayError), use_cassette(recorder.path):
        read_some(recorder, 9)


def test_a_stream_left_after_its_last_event_is_complete(recorder: Recorder) -> None:
    last = len(amazon.CONVERSED)
    recorder.provider.reply(amazon.streamed(amazon.CONVERSED, chunk_delay=0.02), to=amazon.path_of("converse-stream"))
    live = recorder.record(lambda: read_some(recorder, last))
    assert len(live) == last
    assert "complete" not in recorder.interactions[0].response
    assert recorder.replay(lambda: read_some(recorder, last)) == live


def test_the_first_event_reaches_the_agent_when_it_is_sent(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.streamed(amazon.CONVERSED, chunk_delay=0.1), to=amazon.path_of("converse-stream"))
    seen: list[float] = []

    def run() -> None:
        stream = bedrock(recorder).converse_stream(modelId=MODEL, messages=ASKED)["stream"]
        seen.extend(time.perf_counter() for _ in stream)

    recorder.record(run, freeze=())
    assert seen[-1] - seen[0] > 0.5


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: [body.read(7), body.read()],
        lambda body: list(body.iter_lines()),
        lambda body: list(body.iter_chunks(5)),
        lambda body: list(body),
        lambda body: body.read1(4) if hasattr(body, "read1") else body.read(4),
    ],
    ids=["read", "in pieces", "iter_lines", "iter_chunks", "iteration", "the start"],
)
def test_a_body_is_replayed_however_it_is_read(recorder: Recorder, read: Callable[[Any], Any]) -> None:
    recorder.provider.reply(amazon.whole(amazon.MESSAGE), to=amazon.path_of("invoke"))

    def run() -> Any:
        return read(bedrock(recorder).invoke_model(modelId=MODEL, body=json.dumps(amazon.CLAUDE))["body"])

    recorder.both(run)


# Other services ----------------------------------------------------------------------------------------------------


def test_a_file_is_uploaded_and_not_used_up(recorder: Recorder) -> None:
    def run() -> tuple[int, str]:
        client = boto3.Session(region_name="eu-west-1").client(
            "s3", endpoint_url=recorder.provider.url, config=BotoConfig(s3={"addressing_style": "path"})
        )
        put = client.put_object(Bucket="bucket", Key="key", Body=io.BytesIO(b"content of a file"))
        got = client.get_object(Bucket="bucket", Key="key")
        return put["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()

    recorder.provider.script(
        amazon.whole({"busy": True}, status=503), raw(b"", {"etag": '"e"'}), raw(b"content of a file"), to="/bucket/key"
    )
    recorder.both(run)
    assert [each.kind for each in recorder.interactions] == ["http"] * 3
    assert all(b"content of a file" in each.body for each in recorder.provider.requests[:2])


def test_a_compressed_file_keeps_the_checksum_of_its_bytes(recorder: Recorder) -> None:
    packed = gzip.compress(b"line of a log\n" * 99, 9)
    checksum = base64.b64encode(zlib.crc32(packed).to_bytes(4, "big")).decode()
    headers = {"content-encoding": "gzip", "x-amz-checksum-crc32": checksum}
    recorder.provider.reply(raw(packed, headers, encoding="identity"), to="/bucket/log.gz")

    def run() -> bytes:
        client = boto3.Session(region_name="eu-west-1").client(
            "s3", endpoint_url=recorder.provider.url, config=BotoConfig(s3={"addressing_style": "path"})
        )
        return bytes(client.get_object(Bucket="bucket", Key="log.gz")["Body"].read())

    assert recorder.both(run) == packed


def test_a_different_question_does_not_match(recorder: Recorder) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    recorder.record(lambda: converse(recorder))
    with pytest.raises(UnmatchedInteractionError, match=r"json\.messages\[0\]\.content"), use_cassette(recorder.path):
        bedrock(recorder).converse(modelId=MODEL, messages=[{"role": "user", "content": [{"text": "And in Rome?"}]}])
    assert recorder.provider.hits == 1


def test_concurrent_calls_of_one_client(recorder: Recorder) -> None:
    def run() -> list[Any]:
        client = bedrock(recorder)

        def ask(city: str) -> Any:
            messages = [{"role": "user", "content": [{"text": city}]}]
            return client.converse(modelId=MODEL, messages=messages)["output"]

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(ask, ["London", "Paris", "Rome", "Oslo"]))

    recorder.provider.script(*[amazon.whole(amazon.WHOLE)] * 4, to=amazon.path_of("converse"))
    recorder.both(run)
    assert recorder.provider.hits == len(recorder.interactions) == 4


# AnthropicBedrock, over httpx2 --------------------------------------------------------------------------------------


def claude(recorder: Recorder) -> Any:
    return anthropic.AnthropicBedrock(base_url=recorder.provider.url, aws_region="eu-west-1", max_retries=0)


SAYS_HI: Any = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def test_anthropics_client_of_bedrock(recorder: Recorder, no_credentials: Callable[[], None]) -> None:
    recorder.provider.reply(amazon.whole(amazon.MESSAGE), to=amazon.path_of("invoke"))

    def run() -> Any:
        return claude(recorder).messages.create(**SAYS_HI).model_dump()

    live = recorder.record(run)
    no_credentials()
    assert recorder.replay(run) == live
    assert recorder.interactions[0].boundary == "bedrock.invoke"


def test_anthropics_client_of_bedrock_streamed(recorder: Recorder, no_credentials: Callable[[], None]) -> None:
    path = amazon.path_of("invoke-with-response-stream")
    recorder.provider.reply(amazon.streamed(amazon.INVOKED), to=path)

    def run() -> Any:
        with claude(recorder).messages.create(**SAYS_HI, stream=True) as stream:
            return [event.model_dump() for event in stream]

    live = recorder.record(run)
    assert len(live) >= 6
    no_credentials()
    assert recorder.replay(run) == live
    assert recorder.interactions[0].response["events"][2]["data"]["delta"]["text"] == "Mi"


# moto --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["mock", "session"])
def test_moto_answers_beside_the_cassette(recorder: Recorder, first: str) -> None:
    moto = pytest.importorskip("moto")

    def run() -> Any:
        bucket = boto3.Session(region_name="us-east-1").client("s3")
        bucket.create_bucket(Bucket="a-bucket")
        return [each["Name"] for each in bucket.list_buckets()["Buckets"]], converse(recorder)["output"]

    def both(mode: str) -> Any:
        mocked = moto.mock_aws(config={"core": {"passthrough": {"urls": [r"127\.0\.0\.1"]}}})
        session = use_cassette(recorder.path, mode=mode)
        outer, inner = (mocked, session) if first == "mock" else (session, mocked)
        with outer, inner:
            return run()

    recorder.provider.reply(amazon.whole(amazon.WHOLE), to=amazon.path_of("converse"))
    live = both("all")
    assert both("none") == live
    assert live[0] == ["a-bucket"]
    assert recorder.provider.hits == len(recorder.interactions) == 1


# Imports -----------------------------------------------------------------------------------------------------------

IMPORTED_FIRST = "boto3 botocore botocore.credentials botocore.awsrequest botocore.utils urllib3 requests".split()
IMPORTED = """
import sys
from pathlib import Path
from pytest_agenttape import use_cassette

url, path, mode, when, first = sys.argv[1:]
if when == "before":
    __import__(first)
with use_cassette(Path(path), mode=mode) as session:
    __import__(first)
    import boto3
    client = boto3.Session(region_name="eu-west-1").client("bedrock-runtime", endpoint_url=url)
    client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    print(len(session.interactions), session.remaining, sorted(sys.modules).count("anthropic"))
"""


@pytest.mark.variants(4)
@pytest.mark.parametrize("when", ["before", "inside"])
@pytest.mark.parametrize("first", IMPORTED_FIRST)
def test_it_is_recorded_whatever_is_imported_first(recorder: Recorder, first: str, when: str) -> None:
    recorder.provider.reply(amazon.whole(amazon.WHOLE), to="/model/m/converse")
    for mode in ("all", "none"):
        command = [sys.executable, "-c", IMPORTED, recorder.provider.url, str(recorder.path), mode, when, first]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout.split()) == (0, ["1", "0", "0"]), done.stderr
    assert recorder.provider.hits == 1


def test_it_is_not_imported_for_those_who_do_not_use_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pytest_agenttape import use_cassette\n"
        f"with use_cassette(Path({str(tmp_path / 'c.yaml')!r}), mode='all'): pass\n"
        "print([name for name in ('botocore', 'boto3', 'urllib3', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
