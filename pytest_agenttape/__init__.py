"""Record what an AI agent does, replay it offline, assert on it like a snapshot."""
