"""The model: loaded at the first use, asked by one thread at a time."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from dougong import CallError, LoadError, report

from dougong_embedder_sentence_transformers import Params

_PART = 32  # batches between two reports
_NAMES = {"query": ("query",), "passage": ("passage", "document", "corpus")}  # of prompts, in the order of preference


class Model:
    """Vectors of a SentenceTransformer, float32, of unit length. Threads share it, and take turns.

    A text's vector may differ in its last bits with the texts that it was computed beside: shorter ones are padded.

    Raises LoadError where the model is not there or cannot be loaded, or its vectors are not of `dim`.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = threading.Lock()
        self._loaded: Any = None

    @property
    def dim(self) -> int:
        """Length of the vectors: `Params.dim`, or the model's, which is loaded to know."""
        if self._params.dim is not None:
            return self._params.dim
        with self._lock:
            return int(self._model().get_embedding_dimension())

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> np.ndarray:
        if role not in ("passage", "query"):
            raise ValueError(f"role must be passage or query, not {role!r}")
        with self._lock:
            model = self._model()
            clean = [text.encode("utf-8", "replace").decode() for text in texts]
            vectors = np.zeros((len(clean), model.get_embedding_dimension()), np.float32)
            order = sorted(range(len(clean)), key=lambda number: -len(clean[number]))
            size = _PART * self._params.batch
            for first in range(0, len(order), size):
                rows = order[first : first + size]
                vectors[rows] = model.encode(
                    [clean[row] for row in rows],
                    prompt=self._prefix(model, role),
                    batch_size=self._params.batch,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
                if len(order) > size:
                    report("embed", first + len(rows), len(order))
        if not np.isfinite(vectors).all():
            raise CallError(
                f"{self._params.model} gave a vector that is not finite", hint="try another device or model"
            )
        return vectors

    def _prefix(self, model: Any, role: str) -> str:
        own = self._params.query_prefix if role == "query" else self._params.passage_prefix
        if own is not None:
            return own
        return next((model.prompts[name] for name in _NAMES[role] if model.prompts.get(name)), "")

    def _model(self) -> Any:
        if self._loaded is None:
            from sentence_transformers import SentenceTransformer

            p = self._params
            try:
                model = SentenceTransformer(
                    p.model,
                    device=p.device,
                    revision=p.revision,
                    local_files_only=not p.download,
                    trust_remote_code=False,
                )
            except Exception as error:  # huggingface_hub, safetensors, torch and json each have their own
                hint = "give its folder" if p.download else "give its folder, or say download: true to fetch it"
                raise LoadError(f"the model {p.model} cannot be loaded: {error}", hint=hint) from error
            model.default_prompt_name = None  # prompts are chosen here
            found = model.get_embedding_dimension()
            if p.dim not in (None, found):
                raise LoadError(f"{p.model} gives vectors of length {found}, not {p.dim}", hint="mend dim, or model")
            self._loaded = model
        return self._loaded

    @cached_property
    def fingerprint(self) -> str:
        """What the vectors depend on: the content of a folder, or name and revision on the hub; the prefixes."""
        p = self._params
        digest = hashlib.blake2b(repr((p.revision, p.query_prefix, p.passage_prefix)).encode(), digest_size=20)
        folder = Path(p.model)
        if not folder.is_dir():
            digest.update(p.model.encode("utf-8", "surrogatepass"))
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if path.is_file() and path.suffix != ".md":
                digest.update(path.relative_to(folder).as_posix().encode())
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "blake2b").digest())
        return digest.hexdigest()
