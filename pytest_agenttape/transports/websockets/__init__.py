"""The library websockets, asyncio and sync."""
