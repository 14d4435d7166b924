"""A response as a cassette stores it, turned into the one that the wire is to have."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import Headers, HttpResponse, header, listed, standard_phrase
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON


def read_response(stored: Mapping[str, JSON], method: str) -> HttpResponse:
    """Return the answer to a *method* request that a cassette has stored.

    Raises:
        AgentTapeError: It is none; someone has edited it.
    """
    if not isinstance(stored, dict) or not isinstance(stored.get("status"), int):
        raise AgentTapeError("the recording of this request is not an HTTP response with a status; record it again")
    if not isinstance(stored.get("headers") or {}, dict):
        raise AgentTapeError("the headers in the recording of this request are not a mapping; record it again")
    headers = listed(stored.get("headers") or {})
    content_type = header(headers, "content-type")
    chunks = bodies.decode_chunks(stored, content_type)
    status = stored["status"]
    complete = stored.get("complete", True) is not False
    is_shortened = not complete and _is_shortened(stored, chunks)
    if isinstance(stored.get("encoded"), str):  # as the agent itself is given it
        headers, chunks = _encoded(headers, chunks, stored["encoded"], partial=not complete)
    if chunks and complete and method != "HEAD":
        headers = _with_length(headers, str(sum(map(len, chunks))))
    http_version = str(stored.get("http_version") or "HTTP/1.1")
    until_closed = stored.get("until_closed") is True
    if chunks and http_version == "HTTP/1.1" and not until_closed and header(headers, "content-length") is None:
        headers = _with_framing(headers)
    return HttpResponse(
        status=status,
        headers=headers,
        chunks=chunks,
        reason=str(stored.get("reason", standard_phrase(status))),
        http_version=http_version,
        complete=complete,
        until_closed=until_closed,
        is_shortened=is_shortened,
    )


def _with_length(headers: Headers, length: str) -> Headers:
    """Return *headers* with the length that the body has now; most bodies have the length that was recorded."""
    if header(headers, "content-length") in (None, length):
        return headers
    return tuple((name, length if name.lower() == "content-length" else value) for name, value in headers)


def _with_framing(headers: Headers) -> Headers:
    """Return *headers* with the one by which a body without a length came: it is not recorded, as it is always this."""
    framed = header(headers, "transfer-encoding") is not None
    return headers if framed else (*headers, ("Transfer-Encoding", "chunked"))


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
