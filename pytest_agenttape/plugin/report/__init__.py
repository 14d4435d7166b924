"""What a run reports of its cassettes: while it goes on, at its end, and in a file."""
