"""MCP: servers over stdio, which a replay does not start, and what MCP over HTTP adds to HTTP."""
