"""How known pictures are searched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deepdupe_daemon.config.section import ByteCount, Section

__all__ = ["RecallConfig"]


class RecallConfig(Section):
    """The exact search over the vectors in memory. What is found does not depend on it, only how fast."""

    device: Annotated[str, Field(pattern=r"^(auto|host|cpu|cuda|cuda:[0-9]{1,2})$")] = Field(
        default="auto",
        json_schema_extra={"x-allowed": "auto, host, cpu, cuda or cuda:N"},
        description="Where vectors are searched. auto: on the first GPU, in fp16, where a network is configured; on a "
        "processor in bf16, in a copy of its own, where a timed product at start finds that faster; else host. host: "
        "float32 products of the rows as they are, without a copy. cpu, cuda, cuda:N: as auto, on that device.",
    )
    budget_bytes: ByteCount | None = Field(
        default=None,
        description="Memory for the vectors. What goes beyond lies in nameless files in the state dir, which the "
        "kernel reads when it needs them: nothing is missed, it only takes longer. null: no limit.",
    )
