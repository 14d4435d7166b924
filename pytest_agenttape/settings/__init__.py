"""What can be configured, and which source wins."""
