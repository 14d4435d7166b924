"""The environment of a pytest that a test starts, in this process or in one of its own."""

from __future__ import annotations

import importlib.metadata
from functools import cache

# A test names other plugins that it needs with `-p`: to load all that this project's tests have installed takes
# seconds. Named here by their modules they are loaded without a search through the metadata of every distribution.
PLUGINS_NAMED = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "pytest_asyncio.plugin,syrupy,pytest_agenttape.plugin,pytest_agenttape.conflict",
}
# Every installed plugin, but for those that take seconds or draw an order.
PLUGINS_FOUND = {"PYTEST_ADDOPTS": "-p no:randomly -p no:hypothesispytest -p no:langsmith_plugin"}
# What a run would see of the one that it is part of.
SERVICES = ("JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")
OUTER = ("CI", *SERVICES, "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", *PLUGINS_NAMED)

_all_distributions = importlib.metadata.distributions


@cache
def distributions() -> list[importlib.metadata.Distribution]:
    """Stand in for the function of `importlib.metadata`: those with plugins, which are all that pytest looks for.

    It reads the metadata of each installed distribution, for each plugin that is named, in each run.
    """
    return [each for each in _all_distributions() if any(entry.group == "pytest11" for entry in each.entry_points)]
