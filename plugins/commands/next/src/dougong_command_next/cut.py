"""How a tokenizer cuts a text: each token's own bytes, half characters included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dougong import LoadError, Place
from tokenizers import Tokenizer, decoders, pre_tokenizers


def open_tokenizer(place: Path) -> Tokenizer:
    """A ``tokenizer.json``, or the one in a folder. Raises LoadError."""
    file = place / "tokenizer.json" if place.is_dir() else place
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exceptions
        raise LoadError(
            f"no tokenizer can be read: {error}", place=Place(str(file)), hint="name a folder with a tokenizer.json"
        ) from None


def cut(tokenizer: Tokenizer, text: str) -> list[dict[str, Any]]:
    """``{"id", "text", "start", "end"}`` of each token; `text` as `shown` writes it, offsets in code points."""
    encoding = tokenizer.encode(text)
    return [
        {"id": token, "text": shown(tokenizer, token), "start": start, "end": end}
        for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
    ]


def shown(tokenizer: Tokenizer, token: int) -> str:
    """A token's text; bytes that are no whole character as ``<E6 96>``."""
    name = tokenizer.id_to_token(token)
    if name is None:
        return f"<{token}>"
    added = tokenizer.get_added_tokens_decoder().get(token)
    if added is not None:
        return str(added.content)
    if isinstance(tokenizer.decoder, decoders.ByteLevel) or _byte_level(tokenizer):
        return spelled(bytes(_BYTES[character] for character in name if character in _BYTES))
    return name


def spelled(data: bytes) -> str:
    """UTF-8 as text, with what is none as ``<E6 96>``."""
    text, at = "", 0
    while at < len(data):
        try:
            return text + data[at:].decode()
        except UnicodeDecodeError as error:
            text += data[at : at + error.start].decode()
            text += "<" + data[at + error.start : at + error.end].hex(" ").upper() + ">"
            at += error.end
    return text


def _byte_level(tokenizer: Tokenizer) -> bool:
    return "ByteLevel" in str(tokenizer.decoder)


def _alphabet() -> dict[str, int]:
    """Which byte each of the characters stands for that byte-level tokenizers write bytes as (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
    assert set(table) == set(pre_tokenizers.ByteLevel.alphabet())
    return table


_BYTES = _alphabet()
