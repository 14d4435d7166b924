"""What replaying costs, side by side with a floor and with other recorders: ``python -m tests.benchmarks``."""
