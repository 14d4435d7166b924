"""The settings, and which source wins."""
