"""How pictures are decoded."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deepdupe_daemon.config.section import GIB, ByteCount, Count, Number, Section

__all__ = ["DecoderConfig"]


class DecoderConfig(Section):
    """The worker processes that open pictures. A bad file can end a worker, never the service."""

    workers: Annotated[Count, Field(ge=0, le=256)] = Field(
        default=0, description="Worker processes. 0: one per processor core that the service may use."
    )
    timeout_s: Annotated[Number, Field(ge=1, le=3600)] = Field(
        default=60.0, description="Seconds for one file; a worker that takes longer is ended and the file fails."
    )
    max_pixels: Annotated[Count, Field(ge=1)] = Field(
        default=500_000_000, description="A picture with more pixels than this fails instead of filling the memory."
    )
    memory_bytes: ByteCount = Field(default=2 * GIB, description="Memory that one worker may take.")
    recycle_after: Annotated[Count, Field(ge=1)] = Field(
        default=2000, description="Files after which a worker is replaced by a fresh one, against leaks in libraries."
    )
