"""What an agent asks besides a model."""

from __future__ import annotations

import json
from typing import Any

from tests.frameworks.framework import Framework
from tests.standin import raw


class FastMCP(Framework):
    """A server in the test's own process; servers of their own are in tests/plugin/test_mcp.py."""

    name = "fastmcp, server in the test's process"
    library = "fastmcp"
    written = "server.tool"
    made = (("tool", "get_weather"),)

    def decorated(self, function: Any) -> Any:
        import fastmcp

        self.server = fastmcp.FastMCP("weather")
        return self.server.tool(function)

    def script(self, form: str) -> None:
        """Nothing is asked of a model."""

    async def arun(self) -> Any:
        import fastmcp

        async with fastmcp.Client(self.server) as client:
            return (await client.call_tool("get_weather", {"city": "London"})).data


class Elasticsearch(Framework):
    name = "elasticsearch"
    library = "elasticsearch"
    made = (("http", None),)

    def script(self, form: str) -> None:  # noqa: ARG002  # it has no streams
        found = {"hits": {"hits": [{"_id": "1", "_source": {"text": "It is mild in London."}}]}}
        headers = {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}
        self.provider.script(raw(json.dumps(found).encode(), headers), to="/places/_search")

    def run(self) -> Any:
        import elasticsearch

        with elasticsearch.Elasticsearch(self.provider.url) as client:
            return dict(client.search(index="places", query={"match": {"text": "London"}}))

    async def arun(self) -> Any:
        import elasticsearch

        async with elasticsearch.AsyncElasticsearch(self.provider.url) as client:
            return dict(await client.search(index="places", query={"match": {"text": "London"}}))


FRAMEWORKS: tuple[type[Framework], ...] = (FastMCP, Elasticsearch)
