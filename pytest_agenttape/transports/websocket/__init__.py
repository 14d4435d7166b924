"""A WebSocket, whatever library opened it: recorded and replayed message by message."""
