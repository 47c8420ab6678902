"""The Chroma database that other programs can query."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from deepdupe_daemon.config.section import GIB, ByteCount, Count, Section, Text

__all__ = ["ChromaConfig"]

ServerUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://[^/\s]+",
        json_schema_extra={"x-allowed": "an address such as http://127.0.0.1:8000"},
    ),
]


class ChromaConfig(Section):
    """One Chroma collection per space, for queries by other programs. It can be rebuilt from the ledger at any time."""

    mode: Literal["embedded", "server", "off"] = Field(
        default="embedded",
        description="embedded: a database in the state dir, opened by one process of the service. server: a Chroma "
        "server at url. off: none; verdicts do not need it.",
    )
    batch_rows: Annotated[Count, Field(ge=1, le=5000)] = Field(default=200, description="Rows of one upsert.")
    sync_threshold: Annotated[Count, Field(ge=2, le=1_000_000)] = Field(
        default=5000, description="Rows after which Chroma writes its index to disk."
    )
    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = Field(
        default=None,
        json_schema_extra={"x-allowed": "an address such as http://127.0.0.1:8000, or null"},
        description="Address of the server, for mode server, such as http://127.0.0.1:8000.",
    )
    urls: Annotated[tuple[ServerUrl, ...], Field(max_length=16)] = Field(
        default=(),
        description="Instead of url, addresses of several servers, for more vectors than the memory of one holds: each "
        "keeps an equal range of the ids. Another number or order of them stores every vector anew.",
    )
    tenant: Text = Field(default="default_tenant", description="Tenant on the server.")
    database: Text = Field(default="default_database", description="Database on the server.")
    headers_credential: Text | None = Field(
        default=None,
        description="Name of the systemd credential (LoadCredential=), or the path of a file, whose lines are HTTP "
        "headers for the server, such as `Authorization: Bearer ...`. Secrets never stand in this file.",
    )
    free_space_floor_bytes: ByteCount = Field(
        default=2 * GIB, description="With less free space than this on its disk, nothing more is written to Chroma."
    )

    @model_validator(mode="after")
    def _server_has_an_address(self) -> Self:
        if self.mode == "server" and not self.servers:
            raise ValueError("url: found nothing; allowed with mode server: an address such as http://127.0.0.1:8000")
        if self.url is not None and self.urls:
            raise ValueError("urls: found url beside it; allowed: one of the two")
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("urls: found an address twice; allowed: each server once")
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the servers, in the order of the ranges that they hold."""
        return self.urls or ((self.url,) if self.url is not None else ())
