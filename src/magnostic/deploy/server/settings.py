"""What the server allows, and where it listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from magnostic.errors import BadInput
from magnostic.web import LOOPBACK

MIB: Final = 2**20


@dataclass(frozen=True)
class Settings:
    """Limits and address.

    Attributes:
        host, port: to listen on; port 0: one that is free.
        api_key: what a client must send; None: nothing.
        max_bytes: of one photograph's file.
        max_pixels: of one photograph, looked up in its header before it is decoded.
        max_files: of one request.
        max_queue: photographs that may wait or be worked on at once, over all requests.
        body_seconds: until a request has arrived whole.
        stall_seconds: until its next piece has.
        linger_seconds: a batch that is not full waits for others.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    max_bytes: int = 16 * MIB
    max_pixels: int = 25_000_000
    max_files: int = 64
    max_queue: int = 1024
    body_seconds: float = 60.0
    stall_seconds: float = 10.0
    linger_seconds: float = 0.005

    def __post_init__(self) -> None:
        """Raise BadInput for what no server can work with."""
        if not 0 <= self.port <= 65535:
            raise BadInput(f"--port {self.port}: give one from 0 (any that is free) to 65535")
        if self.max_bytes < 1024:
            raise BadInput(f"--max-bytes {self.max_bytes}: give 1024 or more")
        if self.max_pixels < 1:
            raise BadInput(f"--max-pixels {self.max_pixels}: give 1 or more")
        if self.api_key is not None and not self.api_key.strip():
            raise BadInput("the API key is empty; write one into the file or the variable")

    @property
    def max_body(self) -> int:
        """Bytes of one request: what the largest eight photographs need, and room for the form."""
        return 8 * self.max_bytes + 64 * 1024

    @property
    def max_held(self) -> int:
        """Bytes of all requests that are in memory at once."""
        return 4 * self.max_body

    @property
    def loopback(self) -> bool:
        """Whether no other machine can reach the server."""
        return self.host in LOOPBACK
