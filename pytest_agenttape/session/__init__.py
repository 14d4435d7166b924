"""One open cassette, from opening to commit."""
