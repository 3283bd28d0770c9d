"""The chunker: rules from their file, written there by a model where it is missing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dougong import Chunk, Document, Place, Span, StoreError
from dougong_analyzer.outline import Outline

from dougong_chunker_llm_rules import Params
from dougong_chunker_llm_rules.engine import Engine
from dougong_chunker_llm_rules.learn import learn, read
from dougong_chunker_llm_rules.rules import Unusable


class RuleChunker:
    """Chunks cut by the rules in a file.

    Where the file is missing, a model writes it: `learn` from many documents, or the first call of `chunk` from its
    one. From then on no model is asked. The file is read again whenever it changes.

    ``tokenizer.count(chunk.text) <= size`` always (and at most the rules' ``max``), but for a single grapheme of more
    tokens: `oversize`. ``meta["boundary"]`` says what cut a chunk: ``rules``; ``maximum``, where rules did not
    suffice; ``none``, for what comes before the first mark. ``meta["rule"]`` names the rule that begins its passage;
    `parent` is the whole passage, or else the section. Time is linear in the document, whatever the rules say.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = threading.Lock()
        self._engine: tuple[tuple[int, int], Engine] | None = None

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of `document`, in order, not overlapping.

        Raises StoreError: the file of rules cannot be read or used. Raises RulesError (a CallError) and what the model
        raises where the file has to be written first.
        """
        if not document.text.strip():
            return
        engine = self._ready(document)
        outline = Outline(document)
        for piece in engine.cut(document):
            span = piece.span
            headings, section = outline.path(span.start, span.end)
            meta = outline.meta(span.start, span.end)
            meta["boundary"] = "maximum" if piece.maximum else "rules" if piece.begun or piece.passage else "none"
            if piece.rule:
                meta["rule"] = piece.rule
            yield Chunk(
                id=Chunk.name(document.id, span),
                document=document.id,
                text=span.of(document.text),
                span=span,
                headings=headings,
                parent=piece.passage or (Span(*section) if section else None),
                tokens=piece.tokens,
                oversize=piece.tokens > engine.size,
                meta=meta,
            )

    def learn(self, documents: Sequence[Document]) -> Path:
        """Have rules written from `documents`, checked on those held out, and put into the file, over what it holds.

        Raises RulesError, what the model raises, and StoreError where the file cannot be written: it is then as before.
        """
        with self._lock:
            return self._write(learn(self._params, documents))

    def _ready(self, document: Document) -> Engine:
        path = self._params.rules
        with self._lock:
            try:
                info = path.stat()
            except FileNotFoundError:
                self._write(learn(self._params, [document]))
                info = path.stat()
            except OSError as error:
                raise self._problem(error.strerror or str(error)) from None
            stamp = (info.st_mtime_ns, info.st_size)
            if self._engine is None or self._engine[0] != stamp:
                self._engine = stamp, Engine(self._read(path), self._params.size, self._params.tokenizer)
            return self._engine[1]

    def _read(self, path: Path) -> Any:
        try:
            return read(json.loads(path.read_text(encoding="utf-8-sig")), self._params)
        except json.JSONDecodeError as error:
            raise self._problem(f"no JSON ({error.msg})", error.lineno) from None
        except Unusable as reason:
            raise self._problem(str(reason)) from None
        except (OSError, UnicodeDecodeError, RecursionError) as error:
            raise self._problem(getattr(error, "strerror", None) or type(error).__name__) from None

    def _problem(self, reason: str, line: int = 0) -> StoreError:
        cure = "mend the file, or delete it: a model writes it anew"
        return StoreError(f"the rules cannot be used: {reason}", place=Place(str(self._params.rules), line), hint=cure)

    def _write(self, data: dict[str, Any]) -> Path:
        """Put the file in place at once: a crash leaves the old one or the new one."""
        path = self._params.rules
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                file.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            cure = "name another place in 'rules'"
            raise StoreError(
                f"the rules cannot be written: {error.strerror}", place=Place(str(path)), hint=cure
            ) from None
        return path
