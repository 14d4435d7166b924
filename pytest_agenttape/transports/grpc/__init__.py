"""grpcio: calls, sync and `grpc.aio`."""
