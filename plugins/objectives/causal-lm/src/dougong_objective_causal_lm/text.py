"""Files to documents, and documents to splits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dougong import LoadError, Place

_SURROGATE = re.compile("[\ud800-\udfff]")


def documents(
    split: str, files: Sequence[Path], validation: Sequence[Path], holdout: float, separator: str, field: str
) -> Iterator[str]:
    """The documents of ``train`` or ``validation``, none of them empty. Raises LoadError, ValueError."""
    splits = ["train", "validation"] if validation or holdout else ["train"]
    if split not in splits:
        cure = "" if "validation" in splits else "; set holdout or validation for another"
        raise ValueError(f"there is no split {split!r}: there is {' and '.join(splits)}{cure}")
    if validation and split == "validation":
        files, holdout = validation, 0.0
    for path in files:
        yield from _part(path, split, holdout, separator, field)


def _part(path: Path, split: str, holdout: float, separator: str, field: str) -> Iterator[str]:
    """What belongs to `split` of a file whose last `holdout` is for validation."""
    if not holdout:
        yield from _read(path, separator, field)
        return
    count = sum(1 for _ in _read(path, separator, field))
    if count == 1:
        text = next(_read(path, separator, field))
        cut = int(len(text) * (1 - holdout))
        yield from filter(None, [text[:cut] if split == "train" else text[cut:]])
        return
    first = count - math.ceil(count * holdout)  # at least one is held out
    for number, text in enumerate(_read(path, separator, field)):
        if (number >= first) == (split == "validation"):
            yield text


def _read(path: Path, separator: str, field: str) -> Iterator[str]:
    try:
        if path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield from filter(None, [_field(path, number, line, field)])
            return
        with path.open(encoding="utf-8", newline="") as file:  # line ends stay as they are
            text = file.read()
    except UnicodeDecodeError as error:
        raise LoadError(
            f"it is not UTF-8 ({error.reason} at byte {error.start})",
            place=Place(str(path)),
            hint="convert it: iconv -f GB18030 -t UTF-8",
        ) from None
    except OSError as error:
        raise LoadError(
            f"it cannot be read: {error.strerror}", place=Place(str(path)), hint="name text files under files"
        ) from None
    yield from filter(None, text.split(separator) if separator else [text])


def _field(path: Path, number: int, line: str, field: str) -> str:
    try:
        text = json.loads(line)[field]
        if not isinstance(text, str):
            raise TypeError(f"a {type(text).__name__}")
    except (ValueError, TypeError, LookupError, RecursionError):
        raise LoadError(
            f"a line is an object with a text under {field!r}; this one is not",
            place=Place(str(path), number),
            hint="set field, or mend the line",
        ) from None
    return _SURROGATE.sub("\ufffd", text)
