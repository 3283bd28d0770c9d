"""A causal language model in a folder: the odds of its next token, and what it writes."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import torch
import transformers
from dougong import LoadError, Place
from transformers.utils import logging

from dougong_command_next.cut import open_tokenizer, shown


class Model:
    """Raises LoadError where the folder holds none."""

    def __init__(self, folder: Path) -> None:
        place = Place(str(folder))
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
        except (OSError, ValueError, LookupError, TypeError):
            raise LoadError(
                "there is no model", place=place, hint="name a folder that dougong train or save_pretrained wrote"
            ) from None
        logging.disable_progress_bar()
        try:
            if kind.startswith("dougong_"):  # its module tells transformers of the type
                importlib.import_module(f"dougong_network_{kind.removeprefix('dougong_')}.model")
            given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
            self.network = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **given)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **given)
        except Exception as error:  # transformers raises whatever its parts raise
            raise LoadError(
                f"it cannot be loaded: {' '.join(str(error).split())[:300]}",
                place=place,
                hint="it must be a causal language model with its safetensors and tokenizer.json",
            ) from error
        self.network.eval()
        self._names = open_tokenizer(folder)

    def odds(self, text: str, top: int) -> list[dict[str, Any]]:
        """The `top` likeliest tokens after `text`: ``{"id", "text", "probability"}``, likeliest first."""
        with torch.no_grad():
            logits = self.network(self._ids(text)).logits[0, -1]
        probabilities, ids = logits.float().softmax(-1).topk(min(top, len(logits)))
        return [
            {"id": token, "text": shown(self._names, token), "probability": probability}
            for token, probability in zip(ids.tolist(), probabilities.tolist(), strict=True)
        ]

    def write(self, text: str, count: int, temperature: float = 0.0, seed: int = 0) -> Iterator[str]:
        """Up to `count` tokens after `text`, as text, as they come. Only whole characters are given out."""
        streamer = transformers.TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        drawn = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        failed: list[BaseException] = []

        def generate() -> None:
            try:
                torch.manual_seed(seed)
                ids = self._ids(text)
                self.network.generate(
                    ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, streamer=streamer, **drawn
                )
            except BaseException as error:
                failed.append(error)
                streamer.end()

        thread = Thread(target=generate, daemon=True)
        thread.start()
        yield from streamer
        thread.join()
        if failed:
            raise failed[0]

    def _ids(self, text: str) -> torch.Tensor:
        ids = self.tokenizer(text, return_tensors="pt")["input_ids"].long()
        if ids.shape[1]:
            return ids
        first = self.network.config.bos_token_id  # what an empty text begins with
        first = self.tokenizer.eos_token_id if first is None else first
        return torch.tensor([[0 if first is None else first]])
