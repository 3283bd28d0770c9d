"""tokenizer.huggingface passes the kit: whole words, and byte pairs that are parts of characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dougong.testing import TokenizerConformance
from dougong.testing.texts import ORDINARY
from tokenizers import Tokenizer, models, pre_tokenizers, trainers


class TestWords(TokenizerConformance):
    name = "tokenizer.huggingface"

    def parameters(self) -> Mapping[str, Any]:
        path = self.folder / "tokenizer.json"
        if not path.exists():
            made = Tokenizer(models.WordLevel(unk_token="?"))
            made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            made.train_from_iterator(
                ORDINARY.values(), trainers.WordLevelTrainer(special_tokens=["?"], show_progress=False)
            )
            made.save(str(path))
        return {"path": str(path)}


class TestBytePairs(TokenizerConformance):
    name = "tokenizer.huggingface"
    parts = True

    def parameters(self) -> Mapping[str, Any]:
        path = self.folder / "tokenizer.json"
        if not path.exists():
            made = Tokenizer(models.BPE())
            made.pre_tokenizer = pre_tokenizers.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
            made.train_from_iterator(ORDINARY.values(), trainer)
            made.save(str(path))
        return {"path": str(path)}
