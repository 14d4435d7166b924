"""What an MCP server is called by how it is started."""

from __future__ import annotations

import pytest

from pytest_agenttape.transports.mcp.messages import program_of

NAMES = {
    "python desk.py": "desk.py",
    "/usr/bin/python3.12 -u /srv/desk.py --verbose": "desk.py",
    "python -m shop.server --port 80": "shop.server",
    "python -X utf8 desk.py": "desk.py",
    "node --enable-source-maps dist/index.mjs": "index.mjs",
    "npx -y @shop/mcp": "@shop/mcp",
    "npx -y --token SECRET shop-mcp": "shop-mcp",
    "npx --token SECRET": "npx",
    "uv run --directory /home/SECRET desk.py": "desk.py",
    "uvx --from SECRET shop-mcp": "shop-mcp",
    "shop-mcp --api-key SECRET": "shop-mcp",
    "shop-mcp --api-key=SECRET": "shop-mcp",
    "python -X key=SECRET desk.py": "desk.py",
    "docker run -i --rm -e REGION=SECRET mcp/shop:1": "shop:1",
    "docker run -i --rm --env-file SECRET mcp/shop:1": "shop:1",
    "bash -c SECRET": "bash",
    "uvx --no-cache shop-mcp": "shop-mcp",
    "uv run --frozen shop-mcp": "shop-mcp",
    "npx --no-install shop-mcp": "shop-mcp",
    "docker run -d --privileged -u 1000 mcp/shop": "shop",
    "deno run -A shop.ts": "shop.ts",
    "bunx --bun shop-mcp": "shop-mcp",
    "python -Im shop.server": "shop.server",
    "dotnet run --no-build shop.dll": "shop.dll",
    "shop-mcp --OPENAI-KEY SECRET": "shop-mcp",
}


@pytest.mark.parametrize("command", NAMES)
def test_a_server_is_named_by_its_script_or_package_and_never_by_the_value_of_an_option(command: str) -> None:
    program, *args = command.split()
    assert program_of(program, args) == NAMES[command]
