"""Query and passage through one network."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from dougong import Hit, LoadError, Place, report
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from dougong_retriever_cross_encoder import Params

log = logging.getLogger("dougong.retriever.cross-encoder")


class CrossEncoder:
    """The best of `pool` candidates by the network's logit for (query, `index_text`); that is the score.

    Where k asks for more than `pool`, the others follow, their scores lowered below the last one ranked. Where the
    network fails (no memory, a logit that is no number), the hits are those of the wrapped retriever, scores included;
    a warning is logged and the run told (``progress`` event ``rerank``).

    Weights (safetensors only; nothing is downloaded) are read at the first search. Raises LoadError where the folder
    holds no such model. Source: Nogueira and Cho 2019.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._lock = threading.Lock()
        if not (params.model / "config.json").is_file():
            raise self._unfit("there is no config.json")
        try:
            labels = AutoConfig.from_pretrained(params.model, local_files_only=True).num_labels
        except (OSError, ValueError, KeyError) as error:
            raise self._unfit(error) from error
        if labels != 1:
            raise self._unfit(f"it has {labels} labels; relevance is one")

    def search(self, query: str, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]:
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        p = self._params
        found = p.of.search(query, max(p.pool, k), where)
        pool, rest = found[: p.pool], found[p.pool :]
        try:
            scores = self._scores(query, [hit.chunk.index_text for hit in pool])
        except (RuntimeError, ArithmeticError) as error:  # torch has no narrower class for what goes wrong in a network
            log.warning("hits are in the order of the wrapped retriever: the network failed (%s)", error)
            report("rerank", 0, len(pool), f"not ranked: {error}")
            return found[:k]
        ranked = [Hit(hit.chunk, score) for hit, score in zip(pool, scores, strict=True)]
        ranked.sort(key=lambda hit: (-hit.score, hit.chunk.id))
        ranked += [Hit(hit.chunk, ranked[-1].score - place) for place, hit in enumerate(rest, 1)]
        return ranked[:k]

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """One logit a text. Texts of like length go together: less padding."""
        if not texts:
            return []
        tokenizer, network = self._model
        with self._lock:  # the tokenizer holds its padding and truncation
            pairs = tokenizer([query] * len(texts), list(texts), truncation=True, max_length=self._params.max_tokens)
        scores = [0.0] * len(texts)
        order = sorted(range(len(texts)), key=lambda at: -len(pairs["input_ids"][at]))
        for first in range(0, len(order), self._params.batch):
            report("rerank", first, len(order))
            batch = order[first : first + self._params.batch]
            rows = [{name: values[at] for name, values in pairs.items()} for at in batch]
            with self._lock:
                inputs = tokenizer.pad(rows, return_tensors="pt").to(self._params.device)
            with torch.inference_mode():
                logits = network(**inputs).logits[:, 0].float().tolist()
            for at, logit in zip(batch, logits, strict=True):
                if not math.isfinite(logit):
                    raise ArithmeticError(f"a score is {logit}")
                scores[at] = logit
        return scores

    @property
    def _model(self) -> tuple[Any, Any]:
        with self._lock:
            return self._loaded

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        folder = self._params.model
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            network = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise self._unfit(error) from error
        return tokenizer, network.eval().to(self._params.device)

    def _unfit(self, why: object) -> LoadError:
        hint = (
            "`model` is a folder with config.json, model.safetensors and tokenizer.json of a cross-encoder, one label"
        )
        return LoadError(f"this is no cross-encoder: {why}", place=Place(str(self._params.model)), hint=hint)
