"""The documented import path of the syrupy extension."""

from __future__ import annotations

from pytest_agenttape.plugin.syrupy import AgentTapeYAMLExtension

__all__ = ["AgentTapeYAMLExtension"]
