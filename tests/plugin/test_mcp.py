"""Marked tests of agents with MCP servers: the server's script is gone in replay, and its tools are asserted on."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

pytest.importorskip("mcp")

SERVER = """
    import sys
    from pathlib import Path

    try:
        from mcp.server.fastmcp import FastMCP
    except ImportError:  # its name since mcp 2
        from mcp.server.mcpserver import MCPServer as FastMCP

    server = FastMCP("weather")

    @server.tool()
    def forecast(city: str) -> str:
        with Path(__file__).with_name("live.log").open("a") as log:
            log.write(f"forecast {city}\\n")
        return f"sunny in {city}"

    server.run("stdio")
"""
SDK = """
    import sys
    import mcp, pytest
    from mcp.client.stdio import stdio_client

    async def agent(city):
        parameters = mcp.StdioServerParameters(command=sys.executable, args=["server.py"])
        async with stdio_client(parameters) as (read, write), mcp.ClientSession(read, write) as session:
            await session.initialize()
            assert [tool.name for tool in (await session.list_tools()).tools] == ["forecast"]
            return (await session.call_tool("forecast", {"city": city})).content[0].text
"""
FASTMCP = """
    import fastmcp, pytest
    from fastmcp.client.transports import PythonStdioTransport

    async def agent(city):
        async with fastmcp.Client(PythonStdioTransport("server.py", keep_alive=False)) as client:
            assert [tool.name for tool in await client.list_tools()] == ["forecast"]
            return (await client.call_tool("forecast", {"city": city})).content[0].text
"""
AGENTS = """
    import sys
    import pytest
    from agents.mcp import MCPServerStdio

    async def agent(city):
        async with MCPServerStdio({"command": sys.executable, "args": ["server.py"]}) as server:
            assert [tool.name for tool in await server.list_tools()] == ["forecast"]
            return (await server.call_tool("forecast", {"city": city})).content[0].text
"""
TEST = """
    @pytest.mark.agenttape
    @pytest.mark.asyncio
    async def test_it(agenttape_cassette):
        assert await agent("Oslo") == "sunny in Oslo"
        agenttape_cassette.assert_tool_calls([("weather.forecast", {"city": "Oslo"})])
        assert agenttape_cassette.tool_calls[0].result["content"][0]["text"] == "sunny in Oslo"
"""
SWALLOWING = """
    @pytest.mark.agenttape
    @pytest.mark.asyncio
    async def test_it():
        try:
            await agent("Rome")
        except BaseException:
            pass
"""
CLIENTS = [
    pytest.param(SDK, "mcp", id="mcp"),
    pytest.param(FASTMCP, "fastmcp", id="fastmcp"),
    pytest.param(AGENTS, "agents", id="openai-agents"),
]


@pytest.mark.parametrize(("client", "library"), CLIENTS)
def test_a_server_that_is_gone_is_replayed(project: Project, client: str, library: str) -> None:
    pytest.importorskip(library)
    project.write(server=SERVER, test_it=client + TEST)
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["forecast Oslo"]
    (project.path / "server.py").unlink()
    if library == "fastmcp":
        (project.path / "server.py").touch()  # it looks whether there is a file
    project.run_apart().assert_outcomes(passed=1)

    project.write(test_it=client + SWALLOWING)
    result = project.run_apart()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError: weather.forecast(city='Rome') matches no unplayed *"])
    assert project.live() == []
