"""``python -m suite.serve PORT WORKERS``: uvicorn for the endpoint, over a socket that does not delay answers."""

from __future__ import annotations

import socket
import sys

import uvicorn


def main() -> None:
    port, workers = map(int, sys.argv[1:])
    # With several workers uvicorn leaves Nagle's algorithm on, and each answer (head and body are written apart) waits
    # 40 ms for an acknowledgement: that would be measured, and nothing else. Accepted sockets inherit the option.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", port))
    listener.set_inheritable(True)
    uvicorn.run(
        "suite.endpoint:app",
        fd=listener.fileno(),
        workers=workers,
        log_level="error",
        access_log=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
