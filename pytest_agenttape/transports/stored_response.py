"""A response as a cassette stores it, turned into the one that the wire is to have."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import Headers, HttpResponse, by_name, header, listed, standard_phrase
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON


def read_response(stored: Mapping[str, JSON], method: str) -> HttpResponse:
    """Return the answer to a *method* request that a cassette has stored.

    Raises:
        AgentTapeError: It is none; someone has edited it.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("status"), int):
        raise AgentTapeError("the recording of this request is not an HTTP response with a status; record it again")
    recorded = stored.get("headers") or {}
    if not isinstance(recorded, dict):
        raise AgentTapeError("the headers in the recording of this request are not a mapping; record it again")
    headers = listed(recorded)
    said = by_name(headers)
    chunks = bodies.decode_chunks(stored, said.get("content-type"))
    status = stored["status"]
    complete = stored.get("complete") is not False
    is_shortened = not complete and _is_shortened(stored, chunks)
    if isinstance(stored.get("encoded"), str):  # as the agent itself is given it
        headers, chunks = _encoded(headers, chunks, stored["encoded"], partial=not complete)
    http_version = str(stored.get("http_version") or "HTTP/1.1")
    until_closed = stored.get("until_closed") is True
    length = said.get("content-length")
    if chunks and length is not None and complete and method != "HEAD":
        headers = _with_length(headers, length, str(sum(map(len, chunks))))
    if (
        chunks
        and length is None
        and http_version == "HTTP/1.1"
        and not until_closed
        and "transfer-encoding" not in said
    ):
        headers = (*headers, ("Transfer-Encoding", "chunked"))  # not recorded, as it is always this
    reason = str(stored.get("reason", standard_phrase(status)))
    return HttpResponse(status, headers, chunks, reason, http_version, complete, until_closed, is_shortened)


def _with_length(headers: Headers, recorded: str, length: str) -> Headers:
    """Return *headers* with the *length* that the body has now; most bodies have the one that was recorded."""
    if recorded == length:
        return headers
    return tuple((name, length if name.lower() == "content-length" else value) for name, value in headers)


def _encoded(
    headers: Headers, chunks: tuple[bytes, ...], encoding: str, *, partial: bool
) -> tuple[Headers, tuple[bytes, ...]]:
    try:
        encoded = bodies.encode_content(chunks, encoding, partial=partial)
    except ValueError:  # recorded where the library for it was installed; who reads it looks for the header
        return tuple(pair for pair in headers if pair[0].lower() != "content-encoding"), chunks
    is_told = header(headers, "content-encoding") is not None  # as older recordings do not
    return (headers if is_told else (*headers, ("content-encoding", encoding))), encoded


def _is_shortened(stored: Mapping[str, JSON], chunks: tuple[bytes, ...]) -> bool:
    """Return whether a reader that counts bytes may go on past the end; events and lines are counted as they are."""
    if "events" in stored:
        return False
    read = stored.get("bytes_read")
    return read > sum(map(len, chunks)) if isinstance(read, int) else "encoded" in stored
