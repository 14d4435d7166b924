"""`CassetteHandle`: a test's view of its cassette, with assertions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pytest_agenttape import values
from pytest_agenttape.boundaries.registry import registered_boundaries
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.model import Interaction, Mode
from pytest_agenttape.plugin.call_order import order_drift
from pytest_agenttape.plugin.costs import cost_problem
from pytest_agenttape.plugin.fake_files import real_files
from pytest_agenttape.plugin.headlines import unmet
from pytest_agenttape.plugin.syrupy import view_problem
from pytest_agenttape.reading import calls, expectations, expectations_text
from pytest_agenttape.reading.calls import LLMCall, ToolCall
from pytest_agenttape.reading.comparable import without_repeats
from pytest_agenttape.reading.expectations import CallsMode
from pytest_agenttape.reading.json_diff import diff_lines, field_diffs
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.timeline import View, timeline
from pytest_agenttape.reading.usage import TokenTotals
from pytest_agenttape.session.session import Session
from pytest_agenttape.settings.faults import Fault

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

__all__ = ["CassetteHandle", "LLMCall", "ToolCall"]

_UNSET: Final = object()
_Made = TypeVar("_Made")


class CassetteHandle:
    """The cassette of the running test: the calls made, and assertions on them.

    Its `repr` is the timeline of the run. It does not define ``==``, so syrupy does the comparison in
    ``agenttape_cassette == snapshot``.

    Attributes:
        session: The open session.
    """

    def __init__(self, session: Session, snapshot: Callable[[], SnapshotAssertion]) -> None:
        self.session = session
        self._snapshot = snapshot
        self._final_output: object = _UNSET

    def __repr__(self) -> str:
        return repr(self.view())

    @property
    def path(self) -> Path:
        """The cassette file."""
        return self.session.path

    @property
    def mode(self) -> Mode:
        """The record mode; equal to its plain string."""
        return self.session.mode

    @property
    def interactions(self) -> list[Interaction]:
        """All calls of this run, as a cassette would store them if the run ended now."""
        return self.session.interactions

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls to tools and retrievals; each equals its name. A nested call follows the call that made it."""
        return calls.tool_calls(self.interactions)

    @property
    def llm_calls(self) -> list[LLMCall]:
        """The calls to models."""
        return calls.llm_calls(self.interactions)

    @property
    def usage(self) -> TokenTotals:
        """The tokens of all calls of this run, estimated if a response has no usage block."""
        return self.session.usage

    @property
    def duration_ms(self) -> float:
        """The sum of the latencies of calls that no other call contains; of replayed calls as they were recorded."""
        return self.session.duration_ms

    @property
    def final_output(self) -> Any:
        """The value the test assigned, else the text of the last LLM response, else the last result of a boundary."""
        if self._final_output is _UNSET:
            return calls.last_word(self.interactions)
        return self._redacted(self._final_output)  # again: more secrets may be known by now

    @final_output.setter
    def final_output(self, value: object) -> None:
        __tracebackhide__ = True
        self._final_output = _made(self._redacted, value)

    def inject(self, *faults: Fault) -> None:
        """Let *faults* happen, each made by `fault`, to calls that are made from now on.

        Raises:
            ConfigError: The test is not replayed, or a fault cannot happen in it.
        """
        __tracebackhide__ = True
        _made(self.session.inject, *faults)

    def view(self, *, only: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> View:
        """Return the timeline of the run; its `repr` is text, `View.data` returns plain values."""
        assigned = {} if self._final_output is _UNSET else {"final_output": values.encode(self.final_output)}
        recorded = (each.boundary for each in self.session.loaded.tape.recordings)
        return timeline(
            without_repeats(self.interactions, self.session.settings.repeated),
            only=only,
            exclude=exclude,
            rules=self.session.loaded.rules,
            names={*registered_boundaries(), *filter(None, recorded)},
            **assigned,
        )

    # -- assertions

    def assert_tool_calls(
        self,
        expected: Sequence[object],
        *,
        mode: CallsMode = "strict",
        forbid: Sequence[object] | str = (),
        max_calls: int | None = None,
    ) -> None:
        """Assert which tools and retrievals this run called.

        Args:
            expected: Names, ``(name, {argument: value})``, or objects with ``.name`` and ``.arguments``. Only the
                given arguments are compared, using their ``==``.
            mode: ``strict`` exactly these calls in this order; ``unordered`` exactly these in any order; ``subset``
                none beyond these, not all needed; ``superset`` at least these in any order; ``in_order`` at least
                these in this order, others may come between.
            forbid: Calls that must not have been made.
            max_calls: How many calls there may be at most.

        Raises:
            AssertionError: The calls differ; the message shows both lists side by side and the first divergence.
            ConfigError: The mode is unknown, or an item does not describe a call.
        """
        __tracebackhide__ = True
        how = _made(expectations.parse_mode, mode)
        redacted = self.session.secrets.redactor.value
        wanted = _made(expectations.parse_expected, expected, mode=how, without_secrets=redacted)
        forbid = [forbid] if isinstance(forbid, str) else forbid
        forbidden = _made(expectations.parse_expected, forbid, "forbid", without_secrets=redacted)
        most = _count(max_calls, "max_calls")
        self._require_sound_run()
        made = self.tool_calls
        _fail_if(
            expectations_text.calls_problem(wanted, made, how, self.interactions),
            expectations_text.forbidden_problem(forbidden, made),
            None if most is None else expectations_text.count_problem(made, most),
        )

    def assert_llm_calls(
        self,
        count: int | None = None,
        *,
        model: object = None,
        provider: object = None,
        max_calls: int | None = None,
    ) -> None:
        """Assert how many LLM calls this run made: *count*, at most *max_calls*, else at least one.

        With *model* or *provider*, only their calls are counted. Either is a name or any object that implements ``==``;
        a model matches by the requested name or by the one in the response.
        """
        __tracebackhide__ = True
        exactly, most = _count(count, "count"), _count(max_calls, "max_calls")
        self._require_sound_run()
        _fail_if(
            expectations_text.llm_problem(self.llm_calls, count=exactly, most=most, model=model, provider=provider)
        )

    def assert_tools_match_requests(self, ignore: Iterable[str] = ()) -> None:
        """Assert that every tool a model requested was run, and that no other tool ran, except those in *ignore*.

        Names and counts are compared, not arguments. Calls made by other tools, retrievals and memory need no request.
        """
        __tracebackhide__ = True
        ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._require_sound_run()
        _fail_if(expectations_text.requests_problem(self.interactions, ignored))

    def assert_usage(
        self,
        *,
        max_total_tokens: int | None = None,
        max_input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        max_cost: float | Decimal | None = None,
    ) -> None:
        """Assert that the run stays within these token limits and within *max_cost* US dollars.

        Prices come from the optional package genai-prices.

        Raises:
            AssertionError: A limit is exceeded.
            ConfigError: No limit is given, or *max_cost* is and a price is unknown, or the package is not installed.
        """
        __tracebackhide__ = True
        limits = {
            "total_tokens": max_total_tokens,
            "input_tokens": max_input_tokens,
            "output_tokens": max_output_tokens,
        }
        if max_cost is None and not any(limit is not None for limit in limits.values()):
            raise ConfigError(f"assert_usage needs a limit: {', '.join(f'max_{name}' for name in limits)} or max_cost")
        limits = {name: _count(limit, f"max_{name}") for name, limit in limits.items()}
        self._require_sound_run()
        used = self.usage
        problems: list[str | None] = [
            f"{used[name]} {name.replace('_', ' ')} were used, {limit} are allowed (max_{name})"
            for name, limit in limits.items()
            if limit is not None and used[name] > limit
        ]
        if max_cost is not None:
            problems.append(_made(cost_problem, self.llm_calls, max_cost))
        _fail_if("\n".join(filter(None, problems)) or None)

    def assert_final_output(self, expected: object) -> None:
        """Assert that the final output equals *expected*, using its ``==``."""
        __tracebackhide__ = True
        self._require_sound_run()
        found, wanted = self.final_output, self.session.secrets.redactor.value(expected)
        if not (expected == found or wanted == found):
            _fail_if(f"the final output is not as expected\n{_output_difference(wanted, found)}")

    def assert_snapshot(
        self,
        name: str | None = None,
        *,
        only: Iterable[str] | None = None,
        exclude: Iterable[str] | None = None,
    ) -> None:
        """Assert that the timeline of the run equals the one that syrupy has stored for this test.

        It also fails if the calls were made in a different order than in the cassette, even calls that are not shown.
        Recordings left unplayed fail the test when it ends.

        Args:
            name: The name of the view; views without a name are numbered.
            only: Kinds, boundary names or dotted paths to show; nothing else is shown.
            exclude: Kinds, boundary names or dotted paths that vary: ``"http"``, ``"get_weather.result.id"``,
                ``"messages.*.content"``.

        Raises:
            AssertionError: The view or the sequence differs.
            ConfigError: *only* or *exclude* names something that does not exist, or the run has no syrupy.
        """
        __tracebackhide__ = True
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigError(f"the name of a view must be a non-empty string, found {name!r}")
        self._require_sound_run()
        self.session.recording.refuse_poison()
        view = _made(self.view, only=only, exclude=exclude)
        drift = order_drift(self.session)
        if drift is not None:
            _fail_if(f"{drift}\nif this is intended, accept it: {self._command()} --snapshot-update")
        self._require_all_played()
        with real_files():
            problem = view_problem(_made(self._snapshot), view, name, writes_new=self._is_recorded_now())
        if problem is not None:
            raise unmet(f"{problem}\n{self._hint()}", "the view is not the stored one")

    # -- internals

    def _require_sound_run(self) -> None:
        """Raise the verdict, if there is one: what the run did afterwards proves nothing."""
        __tracebackhide__ = True
        if self.session.verdict.error is not None:
            raise self.session.verdict.error

    def _is_recorded_now(self) -> bool:
        return self.session.loaded.policy.starts_over

    def _require_all_played(self) -> None:
        """Make recordings left unplayed when the test ends an error, even if its marker is not strict.

        A view shows the whole run, but at this point the rest may still be played.
        """
        settings = self.session.settings
        if not settings.config.strict:
            self.session.settings = replace(settings, config=settings.config.with_overrides(strict=True))

    def _hint(self) -> str:
        return f"agenttape: review the difference, then accept it: {self._command()} --snapshot-update"

    def _command(self) -> str:
        return self.session.settings.command.removesuffix(" --agenttape-record") or "pytest"

    def _redacted(self, value: object) -> object:
        """Return *value* without secrets, because it is shown and stored like a recording."""
        try:
            stored = values.encode(value, "final_output")
        except AgentTapeError as error:
            error.add_note("assign a value that can be compared and stored: the text, or a plain value")
            raise
        redacted = self.session.secrets.redactor.value(stored)
        return value if redacted == stored else values.decode(redacted)


def _made(make: Callable[..., _Made], *args: Any, **options: Any) -> _Made:
    """Return what *make* returns for a test's arguments; its errors point at the test's line, not at ours."""
    __tracebackhide__ = True
    try:
        return make(*args, **options)
    except AgentTapeError as error:
        raise error.with_traceback(None) from None


def _fail_if(*problems: str | None) -> None:
    __tracebackhide__ = True
    found = [problem for problem in problems if problem is not None]
    if found:
        raise unmet("\n\n".join(found))


def _count(given: object, what: str) -> int | None:
    __tracebackhide__ = True
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 0):
        return given
    raise ConfigError(f"{what} must be a whole number, 0 or more; found {given!r}")


def _output_difference(expected: object, found: object) -> str:
    if isinstance(expected, str | dict | list) and type(expected) is type(found):
        return "\n".join(diff_lines(field_diffs(expected, found), "  ", ("expected", "found")))
    return f"  expected  {visible(repr(expected), 500)}\n  found     {visible(repr(found), 500)}"
