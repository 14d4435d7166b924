"""What a run reports about its cassettes: as it proceeds, at its end and in a file."""
