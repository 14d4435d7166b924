"""Classes of agent frameworks that boundaries meet, known by package and name: no framework is imported."""

from __future__ import annotations

import typing
from types import UnionType

_Names = frozenset[tuple[str, str]]

# What a framework passes to a tool besides the model's arguments: the state of its run, always new.
_CONTEXTS: _Names = frozenset(
    {
        ("agents", "RunContextWrapper"),
        ("agno", "RunContext"),
        ("autogen_core", "CancellationToken"),
        ("fastmcp", "Context"),
        ("google", "ReadonlyContext"),  # of google.adk, above its ToolContext
        ("langchain_core", "RunnableConfig"),
        ("langgraph", "InjectedState"),
        ("langgraph", "InjectedStore"),
        ("langgraph", "ToolRuntime"),
        ("mcp", "Context"),
        ("pydantic_ai", "RunContext"),
        ("strands", "ToolContext"),
        ("workflows", "Context"),  # LlamaIndex's
    }
)
# Tools that can be called, and that their framework takes only as they are.
_CALLABLE_TOOLS: _Names = frozenset(
    {
        ("anthropic", "BaseFunctionTool"),
        ("llama_index", "BaseTool"),
        ("smolagents", "BaseTool"),
        ("strands", "AgentTool"),
    }
)


def is_context(hint: object) -> bool:
    """Return whether a parameter with the annotation *hint* takes the context of a run."""
    origin = typing.get_origin(hint)
    if origin in (typing.Annotated, typing.Union, UnionType):
        return any(map(is_context, typing.get_args(hint)))
    kind = origin or hint
    return _is_named(kind if isinstance(kind, type) else type(kind), _CONTEXTS)


def is_tool(made: object) -> bool:
    """Return whether a framework's decorator has made *made* of a function."""
    return hasattr(made, "description") if not callable(made) else _is_named(type(made), _CALLABLE_TOOLS)


def _is_named(kind: type, names: _Names) -> bool:
    return any((each.__module__.partition(".")[0], each.__name__) in names for each in kind.__mro__)
