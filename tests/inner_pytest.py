"""The environment of a pytest that a test starts, in this process or in one of its own."""

from __future__ import annotations

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
