"""Tokenizers: MB/s of offsets and counts beside the libraries themselves, and their ids on real text.

    python tests/benchmarks/tokenizing.py --data DIR        (or DOUGONG_DATA)

A byte-level BPE of 8,000 tokens is trained, with the tokenizers library, on WikiText-2's validation set and a third of
the Romance of the Three Kingdoms, and written in both formats. The text measured is 1 MB of each language that it was
not trained on. "Ids" are those that the two libraries give for it, and that our plugins count. (This file is not called
tokenizers.py: beside other benchmarks it would stand in the library's place.)
"""

from __future__ import annotations

import base64
import json
import tempfile
from functools import partial
from pathlib import Path

import dougong
import numpy as np
from _bench import data, row, side_by_side, skipped
from dougong_tokenizer_tiktoken_file.ranks import PATTERNS

BYTES = 1_000_000


def alphabet() -> dict[str, int]:
    """The byte of each character that byte-level tokenizers write in its place."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + number): byte for number, byte in enumerate(others)}


def train(texts: list[str], file: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    made.save(str(file))


def main() -> None:
    folder = data("text")
    if folder is None:
        return
    try:
        import tiktoken
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        skipped("tokenizers", str(error))
        return
    chinese = (folder / "sanguo.txt").read_text(encoding="utf-8")
    english = (folder / "wikitext2-valid.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        file, ranks = Path(name) / "tokenizer.json", Path(name) / "own.tiktoken"
        train([english, chinese[: len(chinese) // 3]], file)
        bytes_of = alphabet()
        vocabulary = json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
        tokens = {bytes(bytes_of[char] for char in token): rank for token, rank in vocabulary.items()}
        ranks.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in tokens.items()))
        ours = {
            "bytes": dougong.make("tokenizer.bytes"),
            "huggingface": dougong.make("tokenizer.huggingface", path=file),
            "tiktoken-file": dougong.make("tokenizer.tiktoken-file", path=ranks, split="gpt2"),
            "words": dougong.make("tokenizer.words"),
            "characters": dougong.make("tokenizer.characters"),
        }
        theirs = Tokenizer.from_file(str(file))
        encoding = tiktoken.Encoding("own", pat_str=PATTERNS["gpt2"], mergeable_ranks=tokens, special_tokens={})
    texts = {
        "English": (folder / "wikitext2-test.txt").read_text(encoding="utf-8"),
        "Chinese": chinese[len(chinese) // 3 :],
    }
    for language, text in texts.items():
        text = text.encode()[:BYTES].decode("utf-8", "ignore")
        size = len(text.encode()) / 1e6
        reference = theirs.encode(text).ids
        same = reference == encoding.encode_ordinary(text) == ours["tiktoken-file"]._ids(text).tolist()
        counted = {ours[name].count(text) for name in ("huggingface", "tiktoken-file")} == {len(reference)}
        row(f"{language}: ids equal", float(same and counted), "", against="tokenizers, tiktoken", bar="equal",
            holds=same and counted)  # fmt: skip
        for name, tokenizer in ours.items():
            offsets = tokenizer.offsets(text)
            ends = np.maximum.accumulate(offsets[:, 1])
            gaps = zip(np.append(0, ends).tolist(), np.append(offsets[:, 0], len(text)).tolist())
            covers = not any(text[end:start].strip() for end, start in gaps if start > end)
            row(f"{language}: {name} covers the text", float(covers), "", bar="covers", holds=covers)
        contenders = {f"{name}.offsets": partial(made.offsets, text) for name, made in ours.items()}
        contenders |= {f"{name}.count": partial(made.count, text) for name, made in ours.items()}
        contenders["tokenizers library, encode().offsets"] = lambda text=text: theirs.encode(text).offsets
        contenders["tiktoken library, encode_ordinary()"] = lambda text=text: encoding.encode_ordinary(text)
        seconds = side_by_side(contenders)
        rivals = {
            "huggingface.offsets": "tokenizers library, encode().offsets",
            "tiktoken-file.count": "tiktoken library, encode_ordinary()",
        }
        for name, median in seconds.items():
            rival = rivals.get(name, "")
            ratio = seconds[rival] / median if rival else None
            row(f"{language}: {name}", size / median, "MB/s", against=rival, ratio=ratio)


if __name__ == "__main__":
    main()
