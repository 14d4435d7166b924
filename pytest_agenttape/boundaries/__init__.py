"""Boundaries that user code draws, and listeners."""
