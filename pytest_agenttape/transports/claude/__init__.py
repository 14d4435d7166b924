"""claude-agent-sdk: its program, which a replay does not start."""
