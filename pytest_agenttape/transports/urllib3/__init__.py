"""urllib3: its pools, and the response that all libraries above it read."""
