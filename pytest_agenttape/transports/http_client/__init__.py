"""http.client, below urllib.request and httplib2."""
