"""Owners of calls that fixtures make before the session of a test opens or after it closes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from pytest_agenttape import ownership
from pytest_agenttape.errors import AgentTapeError, AgentTapeWarning
from pytest_agenttape.hosts import is_local
from pytest_agenttape.model import JSON
from pytest_agenttape.plugin.pytest_privates import xunit_function
from pytest_agenttape.process import child_processes
from pytest_agenttape.process.cutting import insisted
from pytest_agenttape.providers import is_llm_path
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.session.connections import Connections
from pytest_agenttape.session.verdict import REFUSALS_BEFORE_CUT
from pytest_agenttape.settings.config import Config

_WAY_OUT = "  make the fixture function-scoped, or open a cassette in it: with use_cassette('name'): ..."


class Outsider(ABC):
    """Refuses every call made while it owns them.

    Args:
        title: The maker of the calls, as shown in the refusal.
        config: Its hosts that are ignored or allowed are so here as well.
    """

    propagates = False  # to threads: a server started by the fixture keeps running after its setup
    can_execute = False
    observer = None
    match_headers = frozenset[str]()
    expected: Mapping[str, JSON] = MappingProxyType({})
    allow_programs = ("*",)  # a server, a container: what a fixture starts is the suite's

    def __init__(self, title: str, config: Config) -> None:
        self.title = title
        self._connections = Connections(config, title, records=False)
        self._rules = RedactionRules.of(config.redact)
        self.is_closed = False
        self._process = os.getpid()
        self._refusals = 0
        self.refused: AgentTapeError | None = None  # the first refusal, even if the fixture swallowed it

    def open(self) -> None:
        """Become the owner of every call."""
        ownership.add(self)
        ownership.enter(self)

    def close(self) -> None:
        """Stop owning calls."""
        self.is_closed = True
        ownership.remove(self)
        ownership.leave(self)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self.close()
        return None

    def admits(self, method: str, url: str) -> bool:
        """Return whether this is to an ignored host, or plain HTTP to this machine: so fixtures wait for servers."""
        is_plain = is_local(urlsplit(url).hostname or "") and not is_llm_path(method, url)
        return is_plain or self._connections.ignores(url)

    def answers(self, method: str, url: str, content_type: str | None = None) -> bool:  # noqa: ARG002  # as Session's
        """Return that no request is answered: whoever made it, it is admitted or refused."""
        return False

    def begin(self, kind: str, boundary: str | None, request: Mapping[str, Any], **_: object) -> Any:
        """Refuse a call."""
        __tracebackhide__ = True
        if self._is_forked:
            raise self.refuse(child_processes.refusal("a forked child of a run that only replays"))
        shown = f"the {kind} {boundary}" if boundary else self._redactor().request({"url": request.get("url")})["url"]
        raise self.refuse(self._error(f"a call to {shown}"))

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        self.refused = self.refused or error
        self._refusals += 1
        if self._is_forked:
            child_processes.report(str(error))  # this process forgets it
        if self._refusals > REFUSALS_BEFORE_CUT:  # a loop that tries for ever; pytest goes on after this
            message = f"stopped after {REFUSALS_BEFORE_CUT} refused calls: {self.refused}"
            raise insisted(pytest.fail.Exception(message, pytrace=False), self._refusals - REFUSALS_BEFORE_CUT)
        return error

    def blocks(self, host: str, port: int | None, running: object, **_: object) -> AgentTapeError | None:  # noqa: ARG002  # as Session's
        """Refuse a connection that leaves the machine, unless its host is allowed."""
        return self._error(f"a connection to {host}") if self._connections.blocks(host, port) else None

    @property
    def _is_forked(self) -> bool:
        return self._process != os.getpid()

    def _redactor(self) -> Redactor:
        return Redactor(self._rules, os.environ)

    @abstractmethod
    def _error(self, what: str) -> AgentTapeError:
        """Return the error that refuses *what*."""


class _SetUp(Outsider):
    """Owns the calls of a fixture during its setup; the `with` block swallows a skip that follows a refusal."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.close()
        return self.refused is not None and isinstance(error, pytest.skip.Exception | pytest.xfail.Exception)


class WideFixture(_SetUp):
    """Owns the calls that a session-, package-, module- or class-scoped fixture makes during its setup.

    Attributes:
        goes_live: Whether it has made calls in a run that records, where it does not own them.
    """

    def __init__(self, name: str, scope: str, config: Config) -> None:
        super().__init__(xunit_function(name) or f"the {scope}-scoped fixture {name!r}", config)
        self.name = name
        self.goes_live = False

    @property
    def warning(self) -> AgentTapeWarning:
        """What to say of calls that were made in a run that records."""
        return AgentTapeWarning(f"{self.title} made calls that no cassette has; a replay refuses them\n{_WAY_OUT}")

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made by {self.title}, which is set up before any test's cassette is open; "
            f"nothing ran for real\n{_WAY_OUT}"
        )


class TearDown(Outsider):
    """Owns the calls that such a fixture makes during its teardown."""

    def __init__(self, name: str, scope: str, config: Config) -> None:
        function = (xunit_function(name) or "").replace("setup", "teardown").replace("setUp", "tearDown")
        super().__init__(function or f"the teardown of the {scope}-scoped fixture {name!r}", config)

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made by {self.title}, when no test's cassette is open; nothing ran for real\n{_WAY_OUT}"
        )


class ConfigFixture(_SetUp):
    """Owns the calls made in replay by the `agenttape_config` fixture, before the test's session opens."""

    def __init__(self, config: Config) -> None:
        super().__init__("the function-scoped fixture 'agenttape_config'", config)

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made by the fixture 'agenttape_config' or by one that it uses, which are set up before the "
            "test's cassette is open; nothing ran for real\n"
            "  do not make calls there, or open a cassette for them: with use_cassette('name'): ..."
        )
