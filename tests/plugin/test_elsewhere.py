"""A recording replays on another machine and in another year."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project
from tests.standin import StandInProvider

AGENT_WITH_A_CLOCK = """
    import os, random, time, uuid
    from datetime import date, datetime
    from pathlib import Path

    import httpx
    import pytest
    from pytest_agenttape import tool

    @tool
    def note(when, day, tags, ident):
        with open(os.environ["LIVE"], "a") as log:
            log.write("note")
        return {"tags": tags, "said": "Größe 世界 \\u2028"}

    def prompt():
        return {
            "now": datetime.now().astimezone().isoformat(),
            "stamp": [time.time(), time.strftime("%A %d %B %Y %H:%M %z"), str(date.today())],
            "id": [str(uuid.uuid1()), str(uuid.uuid4())],
            "dice": [random.random(), random.choice("abc")],
            "text": "Größe 世界",
        }

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
        first = prompt()
        noted = note(datetime.now(), date.today(), {f"tag {n}" for n in range(20)}, uuid.uuid4())
        deadline = time.time() + 0.02
        while time.time() < deadline:  # a polling loop
            time.sleep(0.01)
        second = prompt()
        with httpx.Client(trust_env=False) as client:
            client.post(os.environ["ORIGIN"] + "/echo", json=[first, second, sorted(noted["tags"])])
        Path(os.environ["ASKED"]).write_text(repr([first, second]), encoding="utf-8")
        agenttape_cassette.assert_snapshot()
"""

LATER = """
    import os
    from datetime import timedelta

    import time_machine

    if "DAYS" in os.environ:  # as if the machine's own clock went wrong
        later = time_machine.travel(timedelta(days=int(os.environ["DAYS"])))
        later.start()
"""

ELSEWHERE = {
    "later": {"DAYS": "400", "PYTHONHASHSEED": "4711"},
    "earlier, in another zone": {"DAYS": "-4000", "TZ": "Pacific/Chatham"},
    "another locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "all at once": {
        "DAYS": "400",
        "TZ": "America/St_Johns",
        "PYTHONHASHSEED": "1",
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
    },
}


@pytest.mark.variants(2)
@pytest.mark.parametrize("there", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_recording_is_replayed_elsewhere(
    project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, there: dict[str, str]
) -> None:
    project.write(test_it=AGENT_WITH_A_CLOCK, conftest=LATER)
    live = project.path / "live.log"
    for name, value in {
        "ORIGIN": standin_provider.url,
        "LIVE": str(live),
        "ASKED": str(project.path / "asked here"),
        "TZ": "Europe/Berlin",
        "PYTHONHASHSEED": "0",
        "LC_ALL": "C.UTF-8",
    }.items():
        monkeypatch.setenv(name, value)
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    standin_provider.reset()
    live.unlink()

    for name, value in {**there, "ASKED": str(project.path / "asked there")}.items():
        monkeypatch.setenv(name, value)
    project.run_apart().assert_outcomes(passed=1)

    assert (project.path / "asked there").read_bytes() == (project.path / "asked here").read_bytes()
    assert standin_provider.hits == 0
    assert not live.exists()
