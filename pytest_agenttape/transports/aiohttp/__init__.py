"""aiohttp: requests at its connector, and its WebSockets."""
