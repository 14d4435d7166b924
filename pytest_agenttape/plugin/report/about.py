"""What a report is about: when and from which commit it was made, by which command, with which versions."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import pytest

from pytest_agenttape.model import JSON
from pytest_agenttape.plugin.git import GitError, Repository
from pytest_agenttape.redaction import RedactionRules, Redactor

SCHEMA_VERSION = "1"

# Whatever of these is installed is told: what an agent of today is likely to be made of.
_DISTRIBUTIONS = (
    "pytest-agenttape", "pytest", "syrupy", "pytest-xdist", "openai", "anthropic", "google-genai", "mistralai",
    "cohere", "boto3", "litellm", "ollama", "mcp", "claude-agent-sdk", "openai-agents", "pydantic-ai-slim",
    "langchain-core", "langgraph", "llama-index-core", "crewai", "strands-agents", "google-adk", "dspy", "agno",
    "autogen-agentchat", "haystack-ai", "smolagents", "httpx", "aiohttp", "requests", "genai-prices",
)  # fmt: skip


def document(kind: str, config: pytest.Config) -> dict[str, JSON]:
    """Return the beginning of a report: the version of its schema, which *kind* it is of, and what it is about."""
    redactor = Redactor(RedactionRules(), os.environ)
    command = redactor.text(shlex.join(["pytest", *config.invocation_params.args]))
    about = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "commit": _commit(config, redactor),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "versions": dict(_versions()),
    }
    return {"schema_version": SCHEMA_VERSION, "kind": kind, "about": about}


def _commit(config: pytest.Config, redactor: Redactor) -> Mapping[str, JSON] | None:
    """Return the commit that is checked out; None if there is none, or no git."""
    try:
        head = Repository(config.rootpath).head()
    except GitError:
        return None
    if head is None:
        return None
    return {"id": head.commit, "branch": redactor.text(head.branch), "changed": head.has_changed}


def _versions() -> Iterator[tuple[str, str]]:
    for name in _DISTRIBUTIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue
