"""A real gRPC server on this machine, whose messages are made by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import struct_pb2

SERVICE = "/test.Weather/"


class Server:
    """A real server; counts the calls that reach it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        self._server.add_generic_rpc_handlers((handlers(self.calls),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self.target = f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.stop(None).wait()


def handlers(calls: list[str]) -> Any:  # noqa: C901  # one function per method
    def unary(request: bytes, context: Any) -> bytes:
        calls.append("unary")
        context.send_initial_metadata((("x-first", "1"), ("x-raw-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-last", "2"),))
        return b"sunny in " + request

    def failing(request: bytes, context: Any) -> bytes:
        calls.append("failing")
        context.set_trailing_metadata((("x-why", "unknown place"),))
        context.abort(grpc.StatusCode.NOT_FOUND, f"no {request.decode()}")
        return b""

    def slow(_request: bytes, _context: Any) -> bytes:
        calls.append("slow")
        time.sleep(1)
        return b"late"

    def stream(request: bytes, context: Any) -> Iterator[bytes]:
        calls.append("stream")
        for number in range(3):
            yield b"%d \xff " % number + request
        if request == b"Nowhere":
            context.abort(grpc.StatusCode.NOT_FOUND, "lost")

    def collect(requests: Iterator[bytes], _context: Any) -> bytes:
        calls.append("collect")
        return b"+".join(requests)

    def converse(requests: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        calls.append("converse")
        for request in requests:
            yield b"heard " + request

    def struct(request: Any, _context: Any) -> Any:
        calls.append("struct")
        answer = struct_pb2.Struct()
        answer.update({"weather": "sunny", "asked": dict(request), "api_key": "sk-ant-secret-0123456789abcdefghij"})
        return answer

    return grpc.method_handlers_generic_handler(
        "test.Weather",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Failing": grpc.unary_unary_rpc_method_handler(failing),
            "Slow": grpc.unary_unary_rpc_method_handler(slow),
            "Stream": grpc.unary_stream_rpc_method_handler(stream),
            "Collect": grpc.stream_unary_rpc_method_handler(collect),
            "Converse": grpc.stream_stream_rpc_method_handler(converse),
            "Struct": grpc.unary_unary_rpc_method_handler(
                struct,
                request_deserializer=struct_pb2.Struct.FromString,
                response_serializer=struct_pb2.Struct.SerializeToString,
            ),
        },
    )


def texts() -> dict[str, Any]:
    return {"request_serializer": str.encode, "response_deserializer": lambda raw: raw.decode("latin-1")}


def pairs(metadata: Any) -> Any:
    return [tuple(each) for each in metadata]
