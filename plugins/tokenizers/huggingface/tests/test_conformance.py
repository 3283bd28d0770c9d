"""tokenizer.huggingface passes the kit: a tokenizer without parts of characters all of it, byte pairs but for those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dougong.testing import TokenizerConformance
from dougong.testing.texts import ORDINARY
from dougong.testing.tokenizer import TEXTS
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

    def test_tokens_stand_in_order_inside_the_text(self) -> None:
        """Ascending, none empty; those that are parts of one character share it."""
        for text in TEXTS.values():
            found = self.build().offsets(text).tolist()
            assert [start for start, _ in found] == sorted(start for start, _ in found)
            assert all(0 <= start < end <= len(text) for start, end in found)

    def test_random_texts(self) -> None:
        """In test_file.py, with tokenizers of every sort."""
