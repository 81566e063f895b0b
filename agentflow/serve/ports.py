"""Ports: the service's own socket, and proof that nobody else has the engine's."""

from __future__ import annotations

import socket

from agentflow.serve.errors import TAKEN, ServeError


def listen(host: str, port: int, option: str) -> socket.socket:
    """A listening socket that outlives the service process: between two of them callers queue, none is refused."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise _taken(host, port, option, error) from None
    return sock


def check_free(host: str, port: int, option: str) -> int:
    """The port, if it can be bound now (0: one that can); somebody else's server there looks healthy otherwise."""
    sock = listen(host, port, option)
    free: int = sock.getsockname()[1]
    sock.close()
    return free


def _taken(host: str, port: int, option: str, error: OSError) -> ServeError:
    return ServeError(f"cannot listen on {host}:{port} ({error.strerror}); choose another port with {option}", TAKEN)
