"""inline-snapshot: the code that it writes into a test for what a handle returns.

Its hook (0.32 and later) is given each value; what it returns is written instead.
"""

from __future__ import annotations

import pluggy

from pytest_agenttape.model import Mode
from pytest_agenttape.reading.calls import ToolCall
from pytest_agenttape.reading.usage import TokenTotals


@pluggy.HookimplMarker("inline_snapshot")
def customize(value: object) -> object:
    """Return the plain value that *value* equals; None for what is not ours.

    The `repr` of a call looks like code that calls the tool: in a test it would.
    """
    match value:
        case ToolCall() | Mode():
            return str(value)
        case TokenTotals():
            return dict(value)
    return None
