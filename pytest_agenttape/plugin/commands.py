"""What the command line may ask for instead of a run; each command loads only what it needs."""

from __future__ import annotations

import pytest

from pytest_agenttape.plugin.options import check_report
from pytest_agenttape.process.garbage import uncollected


def run_command(config: pytest.Config) -> int:
    """Show or compare cassettes, as the options say, and return the exit code.

    Raises:
        UsageError: The options ask for both, or for a report that there is not.
    """
    names, compared = config.option.agenttape_show, config.option.agenttape_diff
    if names is not None and compared is not None:
        raise pytest.UsageError("--agenttape-show and --agenttape-diff do not go together; give one of them")
    check_report(config.option)
    with uncollected():
        if names is not None:
            from pytest_agenttape.plugin.showing import show

            return show(config, names)
        from pytest_agenttape.plugin.comparing import compare

        return compare(config, compared)
