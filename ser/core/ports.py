"""Whether a port is free, asked before a server that would listen on it is made ready."""

from __future__ import annotations

import socket

from ser.core.errors import SerError


def check_free(host: str, port: int | str) -> None:
    """Refuse a port that another program listens on, or that may not be listened on.

    Parameters
    ----------
    host : str
    port : int or str
        What is no number is left to the server to refuse.

    Raises
    ------
    SerError
    """
    if not str(port).isdecimal():
        return
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SerError(
            f"Nothing can be served on {host}:{port}: {reason}. Give another --port."
        ) from error
