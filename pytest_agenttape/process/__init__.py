"""What belongs to the whole process: clock, chance, network, children, stack."""
