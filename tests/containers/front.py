"""The proxy in front of the two ingest, as an installation has one: what one door refuses goes through the next."""

from __future__ import annotations

import itertools
import socket
import socketserver
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tests.services.server import free_port

PATIENCE: Final = 5.0


class Front(socketserver.ThreadingTCPServer):
    """Listens on loopback from `with` on; `url` leads through it."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, doors: Sequence[int]) -> None:
        port = free_port()
        super().__init__(("127.0.0.1", port), _Visit)
        self.url = f"http://127.0.0.1:{port}"
        self._doors = doors
        self._turns = itertools.count()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def door(self) -> socket.socket:
        """A connection to the next one that takes it. Raises `OSError` when none does."""
        first = next(self._turns)
        for turn in range(len(self._doors)):
            with suppress(OSError):
                port = self._doors[(first + turn) % len(self._doors)]
                return socket.create_connection(("127.0.0.1", port), PATIENCE)
        raise ConnectionRefusedError

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Visit(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Front)
        with suppress(OSError), self.server.door() as far:
            far.settimeout(None)
            back = threading.Thread(target=_pump, args=(far, self.request), daemon=True)
            back.start()
            _pump(self.request, far)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Until one of them ends; then nobody waits for the other."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
