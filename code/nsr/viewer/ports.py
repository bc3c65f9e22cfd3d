"""Is an address free to serve at?"""

from __future__ import annotations

import errno
import socket

from nsr.errors import NsrError


def require_free_port(host: str, port: int) -> None:
    """Try to listen there and let go again.

    Args:
        port: 0 stands for any free one and always passes.

    Raises:
        NsrError: somebody listens there already, it needs more rights, or the host is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            # what a server that has just ended leaves behind is no obstacle
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            trial.listen(1)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "the port is taken; give another with --port, or 0 for any free one",
            errno.EACCES: "ports below 1024 need more rights; give a higher one with --port",
            errno.EADDRNOTAVAIL: "this is no address of this machine; give one with --host",
        }
        reason = reasons.get(error.errno, f"cannot be served at ({error.strerror or error}); see --host and --port")
        raise NsrError(f"{host}:{port}: {reason}") from error
