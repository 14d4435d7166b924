"""Cassettes on disk: paths, whole writes, large bodies, other tools' files."""
