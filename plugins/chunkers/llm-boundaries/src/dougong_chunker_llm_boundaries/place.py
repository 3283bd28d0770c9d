"""The place of a document's calls in a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from dougong import Document
from dougong.frame import Frame, current

_PUNCTUATION = re.compile(r"[^\w-]+")


@contextmanager
def place_of(document: Document, *settings: object) -> Iterator[None]:
    """Calls made inside have a place of the run that document and settings name: ``0/guide-md-1f3a9c02.0``.

    A run numbers calls in the order in which they are made. A library that is indexed again leaves out the documents
    that are done, so numbers alone would tell the calls about the next document apart from those in the run's journal.
    """
    here = current.get()
    if here is None:
        yield
        return
    digest = sha256(repr((document.id, document.text, settings)).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    name = f"{_PUNCTUATION.sub('-', document.id)[-40:]}-{digest}"
    token = current.set(Frame(here.run, f"{here.path}.0/{name}" if here.path else f"0/{name}"))
    try:
        yield
    finally:
        current.reset(token)
