"""Cassettes and their files: where they are, how they are read, proved and written; other tools' files too."""
