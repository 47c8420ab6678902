"""HTTP headers for a server, from a credential. Their values are secrets: no message of ours ever says one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from deepdupe_daemon.errors import StoreError

__all__ = ["read_headers"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 9110, section 5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")  # RFC 9110, section 5.5, without obs-text


def read_headers(credential: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The `Name: value` lines of a systemd credential, or of the file at an absolute path.

    Raises StoreError where it cannot be read or a line is no header. What is wrong is found here, because an HTTP
    library would quote the line in its error.
    """
    if credential is None:
        return {}
    hint = f"LoadCredential={credential}:/path/of/a/file in the unit, or the path itself as headers_credential"
    path = credential
    if not os.path.isabs(path):
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise StoreError(f"there is no credential {credential}", hint=hint)
        path = os.path.join(folder, credential)
    try:
        with open(path, "rb") as file:
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError as error:
        raise StoreError(f"the credential {credential} cannot be read: {error.strerror}", hint=hint) from error
    headers = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not (colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise StoreError(
                f"the credential {credential} cannot be used: line {number} is no HTTP header",
                hint="lines such as `Authorization: Bearer ...`, in ASCII",
            )
        headers[name] = value
    return headers
