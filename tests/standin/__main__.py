"""Run the stand-in provider as a program: ``python -m tests.standin --port 8080``."""

from __future__ import annotations

import argparse
import threading

from tests.standin.server import StandInProvider


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description="A stand-in for LLM providers.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one")
    with StandInProvider(parser.parse_args().port) as provider:
        print(provider.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
