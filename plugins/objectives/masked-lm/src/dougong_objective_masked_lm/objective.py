"""Rows, masks, loss and metric of masked language modelling."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import transformers
from dougong import ConfigError
from dougong.run import report
from dougong_objective_causal_lm.text import documents
from dougong_objective_causal_lm.tokens import Stream, open_tokenizer, stream
from tokenizers import Tokenizer

from dougong_objective_masked_lm import Params

Batch = Mapping[str, torch.Tensor]


class MaskedLM:
    """A share `rate` of each row's tokens is hidden and predicted: the mean of ``-ln p`` over them.

    A row is ``cls, up to length - 2 tokens of one document, sep``, padded at its end to the longest of its batch.
    """

    def __init__(self, params: Params) -> None:
        self.params = params
        self._lock = threading.RLock()
        self._tokenizer: Tokenizer | None = None
        self._rows: dict[str, list[np.ndarray]] = {}

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; trained and written first where it is missing. Raises LoadError."""
        with self._lock:
            if self._tokenizer is None:
                p, texts = self.params, lambda: self._texts("train")
                self._tokenizer = open_tokenizer(p.tokenizer, p.vocab, [p.pad, p.cls, p.sep, p.mask], texts)
            return self._tokenizer

    def batches(self, split: str) -> Sequence[Batch]:
        """Batches of ``input_ids``, ``attention_mask``, ``labels``, int64 ``(rows, length)``; labels are -100 where
        nothing is to be predicted.

        ``train``: `epochs` times all rows in a fresh order, without those that fill no batch. ``validation``: all in
        their order. Raises LoadError, ConfigError where the texts are too short, ValueError for a split that there is
        not.
        """
        rows = self._split(split)
        if split == "train" and len(rows) < self.params.batch:
            raise ConfigError(
                f"the training texts fill {len(rows)} rows, not one batch of {self.params.batch}",
                hint="lower length or batch, or give more text",
            )
        return _Batches(rows, self.params, self.tokenizer(), split == "train")

    def loss(self, network: transformers.PreTrainedModel, batch: Batch) -> torch.Tensor:
        """transformers' loss of the network: mean cross-entropy in nats."""
        return transformers.loss.loss_utils.ForMaskedLMLoss(
            _logits(network, batch), batch["labels"], self._vocab(network)
        )

    @staticmethod
    def _vocab(network: transformers.PreTrainedModel) -> int:
        return int(getattr(network, "module", network).config.vocab_size)

    def metric(self, network: transformers.PreTrainedModel, split: str) -> dict[str, float]:
        """``loss`` in nats a hidden token, ``perplexity``, its exp, and ``accuracy``, the share said rightly. Over all
        rows, with the masks of a first epoch."""
        batches = _Batches(self._split(split), self.params, self.tokenizer(), False)
        training, total, right, count = network.training, 0.0, 0, 0
        network.eval()
        try:
            with torch.no_grad():
                for number, batch in enumerate(batches, 1):
                    here = {name: value.to(network.device) for name, value in batch.items()}
                    hidden = here["labels"] != -100
                    logits = _logits(network, here)[hidden].float()
                    labels = here["labels"][hidden]
                    total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
                    right += int((logits.argmax(-1) == labels).sum())
                    count += len(labels)
                    report(f"measure {split}", number, len(batches))
        finally:
            network.train(training)
        loss = total / count
        return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "accuracy": right / count}

    def _texts(self, split: str) -> Iterator[str]:
        p = self.params
        return documents(split, p.files, p.validation, p.holdout, p.separator, p.field)

    def _split(self, split: str) -> list[np.ndarray]:
        """The token ids of each row, unframed."""
        with self._lock:
            if split not in self._rows:
                next(self._texts(split), None)  # an unknown split is told before a tokenizer is trained
                tokenizer, room = self.tokenizer(), self.params.length - 2
                found: Stream = stream(tokenizer, lambda: self._texts(split), 0, split)
                ends = [*found.starts[1:], len(found.ids)]
                rows = [
                    found.ids[at : min(at + room, end - 1)]  # the stream ends each document by a token; rows do not
                    for start, end in zip(found.starts, ends, strict=True)
                    for at in range(start, end - 1, room)
                ]
                if not rows:
                    raise ValueError(f"split {split!r} has no text; check files, validation and holdout")
                self._rows[split] = rows
            return self._rows[split]


def _logits(network: transformers.PreTrainedModel, batch: Batch) -> torch.Tensor:
    return network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


class _Batches(Sequence[Batch]):
    """Batches made when asked for. The masks of a row follow from seed, epoch and row alone."""

    def __init__(self, rows: list[np.ndarray], p: Params, tokenizer: Tokenizer, shuffled: bool) -> None:
        self._rows, self._p, self._shuffled = rows, p, shuffled
        self._cls, self._sep, self._mask, self._pad = map(tokenizer.token_to_id, (p.cls, p.sep, p.mask, p.pad))
        special = {*tokenizer.get_added_tokens_decoder()}
        self._words = np.array([token for token in range(tokenizer.get_vocab_size()) if token not in special])
        self._each = len(rows) // p.batch if shuffled else math.ceil(len(rows) / p.batch)
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __len__(self) -> int:
        return self._each * (self._p.epochs if self._shuffled else 1)

    def __getitem__(self, number: int) -> Batch:  # type: ignore[override]  # no slices: a batch at a time
        if not 0 <= number < len(self):
            raise IndexError(number)
        epoch, place = divmod(number, self._each)
        at, order = self._order
        if at != epoch:
            order = np.arange(len(self._rows))
            if self._shuffled:
                order = np.random.default_rng([self._p.seed, epoch]).permutation(order)
            self._order = (epoch, order)
        rows = order[place * self._p.batch : (place + 1) * self._p.batch]
        length = 2 + max(len(self._rows[row]) for row in rows)
        ids, labels = np.full((len(rows), length), self._pad), np.full((len(rows), length), -100)
        for i, row in enumerate(rows):
            tokens = self._rows[row].astype(np.int64)
            end = 1 + len(tokens)
            hidden, shown = self._hide(tokens, np.random.default_rng([self._p.seed, epoch, row]))
            ids[i, 0], ids[i, end] = self._cls, self._sep
            ids[i, 1:end] = shown
            labels[i, 1:end][hidden] = tokens[hidden]
        lengths = np.array([2 + len(self._rows[row]) for row in rows])
        mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
        named = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {name: torch.from_numpy(array) for name, array in named.items()}

    def _hide(self, tokens: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Which tokens are to be predicted, and what the network sees."""
        hidden = chance.random(len(tokens)) < self._p.rate
        if not hidden.any():
            hidden[chance.integers(len(tokens))] = True
        kind, shown = chance.random(len(tokens)), tokens.copy()
        shown[hidden & (kind < self._p.masked)] = self._mask
        drawn = hidden & (kind >= self._p.masked) & (kind < self._p.masked + self._p.random)
        shown[drawn] = chance.choice(self._words, int(drawn.sum()))
        return hidden, shown
