"""``--agenttape-audit``: every cassette is a test item, checked for what must not be committed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, Interaction
from pytest_agenttape.cassettes import writing

KEY = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 2


def cassette(path: Path, response: object = 21, created_at: str = "2026-01-01T00:00:00+00:00") -> Path:
    call = Interaction(index=0, kind="tool", boundary="get_weather", request={"args": {}}, response=response)
    path.parent.mkdir(parents=True, exist_ok=True)
    writing.save(Cassette(created_at=created_at, interactions=[call]), path)  # unlike `Cassette.save`, without a scan
    return path


def test_every_cassette_is_an_item_and_no_test_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_never_runs(): raise AssertionError")
    for name in ("a.yaml", "b.json", "c.derived.yaml"):
        cassette(pytester.path / "cassettes" / name)
    pytester.runpytest("--agenttape-audit").assert_outcomes(passed=3)


@pytest.mark.parametrize("arguments", [(), ("--snapshot-update",), ("--agenttape-record",)])
def test_a_test_file_that_is_named_is_not_run(pytester: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    pytester.makepyfile(test_it="def test_never_runs(): raise AssertionError")
    cassette(pytester.path / "cassettes" / "a.yaml")
    result = pytester.runpytest("--agenttape-audit", *arguments, "test_it.py", "cassettes/a.yaml")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*live calls*")


@pytest.mark.parametrize("age", ["-1", "nan", "inf", "1e300", "x"])
def test_an_age_that_is_none_is_told(pytester: pytest.Pytester, age: str) -> None:
    cassette(pytester.path / "cassettes" / "a.yaml")
    result = pytester.runpytest("--agenttape-audit", f"--agenttape-max-age={age}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--agenttape-max-age: *{age}*"])


def test_an_audit_writes_no_report_over_another(pytester: pytest.Pytester) -> None:
    (pytester.path / "r.html").write_text("of a run")
    result = pytester.runpytest("--agenttape-audit", "--agenttape-report=r.html")
    result.stderr.fnmatch_lines(
        ["*--agenttape-report=r.html: --agenttape-audit runs no test that could be reported; give one of them"]
    )
    assert (pytester.path / "r.html").read_text() == "of a run"


def test_an_age_without_an_audit_is_told(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--agenttape-max-age=30d")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --agenttape-max-age needs --agenttape-audit; *max_age in the configuration*"])


def test_a_secret_fails_with_its_line_and_never_its_value(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "cassettes" / "leak.yaml", response={"note": f"use {KEY}"})
    result = pytester.runpytest("--agenttape-audit")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "leak.yaml:*: a secret (*)",
            f"*remove it: pytest --agenttape-audit --snapshot-update {Path('cassettes', 'leak.yaml')}",
        ]
    )
    assert KEY not in result.stdout.str()


def test_a_secret_of_the_environment_fails_in_any_form(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_API_KEY", "q8Zr5tXw2LmN7vBc")
    cassette(pytester.path / "cassettes" / "leak.yaml", response="cThacjV0WHcyTG1ON3ZCYw==")  # base64 of it
    pytester.runpytest("--agenttape-audit").assert_outcomes(failed=1)


def test_a_corrupt_cassette_fails_with_its_place(pytester: pytest.Pytester) -> None:
    path = cassette(pytester.path / "cassettes" / "a.yaml")
    path.write_text(path.read_text() + "  - broken: [\n")
    result = pytester.runpytest("--agenttape-audit")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a.yaml:*"])


def test_an_old_cassette_fails_only_when_an_age_is_given(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "cassettes" / "a.yaml", created_at="2020-01-01T00:00:00+00:00")
    pytester.runpytest("--agenttape-audit").assert_outcomes(passed=1)
    result = pytester.runpytest("--agenttape-audit", "--agenttape-max-age=90")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["recorded * days ago, more than 90 days; re-record it with --agenttape-record"])


VCRPY = """interactions:
- request:
    body: null
    headers:
      Authorization:
      - Bearer {key}
    method: GET
    uri: https://example.com/
  response:
    body:
      string: hi
    headers: {{}}
    status:
      code: 200
      message: OK
version: 1
"""


@pytest.mark.parametrize("folder", ["cassettes", "tapes"])
def test_a_cassette_of_another_tool_is_looked_at(pytester: pytest.Pytester, folder: str) -> None:
    path = pytester.mkdir(folder) / "vcr.yaml"
    (pytester.path / "data.yaml").write_text("a: 1\nsteps:\n- uses: x\n")
    for filtered in ("DUMMY", "<FILTERED>", "XXXXXXXXXXXXXXXXXXXX", "your-api-key-goes-here"):
        path.write_text(VCRPY.format(key=filtered))
        pytester.runpytest("--agenttape-audit").assert_outcomes(passed=1)
    path.write_text(
        VCRPY.format(key="DUMMY")
        .replace("headers: {}", "headers: {content-length: ['42']}")
        .replace("string: hi", 'string: \'{"password": "tr0ub4dor&3"}\'')
    )
    result = pytester.runpytest("--agenttape-audit")
    result.stdout.fnmatch_lines(["vcr.yaml: a secret at interaction #0.response.json.password"])
    path.write_text(VCRPY.format(key="tr0ub4dor&3"))
    result = pytester.runpytest("--agenttape-audit", "--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "vcr.yaml: a secret at interaction #0.request.headers.*uthorization*",
            "  vcrpy wrote this file: take the secret out with its filters, or make it a cassette of this plugin, "
            "redacted: Cassette.load(path).save(path)",
        ]
    )
    result.stdout.no_fnmatch_line("*tr0ub4dor*")
    assert path.read_text() == VCRPY.format(key="tr0ub4dor&3")
    Cassette.load(path).save(path)
    assert "tr0ub4dor" not in path.read_text()
    pytester.runpytest("--agenttape-audit").assert_outcomes(passed=1)


EDITS = {
    "comment": lambda text: f"# the weather\n{text}",
    "start of a document": lambda text: f"---\n{text}",
    "number for a version": lambda text: text.replace('version: "1"', "version: 1"),
    "other order": lambda text: (
        "interactions:" + text.partition("interactions:")[2] + text.partition("interactions:")[0]
    ),
    "newer version": lambda text: text.replace('version: "1"', 'version: "2"'),
    "conflict": lambda text: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n",
}


@pytest.mark.parametrize("folder", ["cassettes", "tapes"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_a_cassette_that_was_edited_is_looked_at(
    pytester: pytest.Pytester, folder: str, edit: Callable[[str], str]
) -> None:
    path = cassette(pytester.path / folder / "a.yaml", response={"note": f"use {KEY}"})
    before = path.read_text()
    path.write_text(edit(before))
    assert path.read_text() != before
    result = pytester.runpytest("--agenttape-audit")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a secret (*" if edit not in list(EDITS.values())[4:] else "*a.yaml*"])
    assert KEY not in result.stdout.str()


def exchange(body: str) -> Interaction:
    """Return an exchange that holds a name, in a header and in bodies large enough for an asset."""
    headers = {"Content-Type": "application/json", "X-Tenant": "acme corp"}
    return Interaction(
        index=0,
        kind="http",
        request={"method": "POST", "url": "https://api.example/?tenant=acme", "headers": headers, "json": {"a": 1}},
        response={"status": 200, "headers": {}, "text": body},
        match_key="0123456789abcdef",
    )


def test_a_name_that_is_denied_since_fails(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "cassettes" / "a.yaml", response={"customer_id": "C-1"})
    pytester.runpytest("--agenttape-audit").assert_outcomes(passed=1)
    pytester.makefile(".toml", agenttape='[redact]\ndenylist = ["customer_id"]')
    result = pytester.runpytest("--agenttape-audit")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["a.yaml: a secret at interaction #0.response.customer_id"])


def test_what_a_policy_denies_fails(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "cassettes" / "a.yaml", response={"customer_id": "C-1"})
    pytester.makeconftest(
        "def pytest_agenttape_policy(config): return {'redact': {'denylist': ['customer_id'], 'enabled': True}}"
    )
    pytester.runpytest("--agenttape-audit").assert_outcomes(failed=1)


def test_an_update_takes_out_what_the_rules_of_today_find_also_in_assets(pytester: pytest.Pytester) -> None:
    path = pytester.path / "cassettes" / "a.yaml"
    path.parent.mkdir()
    Cassette(interactions=[exchange(f"ACME-12345678 {'word ' * 20_000}")], meta={"env": {"A": "ACME-12345678"}}).save(
        path
    )
    pytester.makefile(".toml", agenttape='[redact]\ndenylist = ["x-tenant", "tenant"]\nregexes = ["ACME-[0-9]{8}"]')
    pytester.runpytest("--agenttape-audit").assert_outcomes(failed=1)
    pytester.runpytest("--agenttape-audit", "--snapshot-update").assert_outcomes(passed=1)
    pytester.runpytest("--agenttape-audit").assert_outcomes(passed=1)
    files = [each for each in path.parent.rglob("*") if each.is_file()]
    assert len(files) == 2
    assert not any(word in each.read_text() for each in files for word in ("ACME-", "acme corp", "tenant=acme"))
    (clean,) = Cassette.load(path).interactions
    assert clean.match_key != "0123456789abcdef"
    before = path.read_bytes()
    pytester.runpytest("--agenttape-audit", "--snapshot-update").assert_outcomes(passed=1)
    assert path.read_bytes() == before
