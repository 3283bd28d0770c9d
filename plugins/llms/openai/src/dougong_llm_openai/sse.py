"""Server-sent events: bytes in any pieces to the data of each event."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

DONE = "[DONE]"
_END = re.compile(rb"\r\n|\n|\r")
_LIMIT = 16 * 1024 * 1024  # bytes of one line: a server that never ends one must not fill the memory


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines ended by CRLF, LF or CR, decoded whole: a character may be split between chunks, its line is not."""
    rest, after_cr = b"", False
    for chunk in chunks:
        if after_cr:
            chunk, after_cr = chunk.removeprefix(b"\n"), not chunk
        if not chunk:
            continue
        after_cr = chunk[-1:] == b"\r"
        *whole, tail = _END.split(chunk)
        if whole:
            whole[0] = rest + whole[0]
            rest = tail
        else:
            rest += tail
        if len(rest) > _LIMIT:
            raise ValueError(f"a line of more than {_LIMIT:,} bytes")
        for line in whole:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def events(lines: Iterable[str]) -> Iterator[Any]:
    """The JSON value of each event, and `DONE`. Comments and other fields are passed over.

    An event ends where its JSON does: servers that leave out the empty line are understood, and so is JSON spread
    over several ``data`` lines. Raises ValueError for data that is no JSON.
    """
    data = ""
    for line in lines:
        line = line.removeprefix("\ufeff")
        if not line:
            if data:
                raise ValueError(f"an event that is not JSON: {data[:200]!r}")
            continue
        field, _, value = line.partition(":")
        if field != "data":
            continue
        value = value.removeprefix(" ")
        if value.strip() == DONE:
            yield DONE
            continue
        data = f"{data}\n{value}" if data else value
        try:
            event = json.loads(data)
        except ValueError:
            continue
        data = ""
        yield event
    if data:
        raise EOFError(f"the stream ends inside an event: {data[:200]!r}")
