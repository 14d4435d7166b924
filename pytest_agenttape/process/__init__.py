"""What belongs to the whole process: clock, randomness, network, child processes, stack."""
