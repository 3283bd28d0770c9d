"""Documents to token ids: the tokenizer, read or trained, and the stream of all ids of a split."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from dougong import LoadError, Place
from dougong.run import report
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# Where BPE may merge (Qwen2's, after GPT-4's): letters with the space before them, digits one by one, punctuation.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FORMAT = 1


def train_bpe(texts: Iterable[str], vocab: int, special: Sequence[str]) -> Tokenizer:
    """A byte-level BPE of at most `vocab` tokens, its `special` ones first (Sennrich et al. 2016; Radford et al. 2019).

    All 256 bytes are tokens, so that any text can be written and read back.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=[AddedToken(token, special=True, normalized=False) for token in special],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return tokenizer


def open_tokenizer(
    path: Path, vocab: int | None, special: Sequence[str], texts: Callable[[], Iterable[str]]
) -> Tokenizer:
    """The tokenizer at `path`, trained on `texts` and written there first if it is missing and `vocab` is set.

    Text that reads like a special token is text. Raises LoadError.
    """
    place = Place(str(path))
    if not path.exists():
        if vocab is None:
            raise LoadError("there is no tokenizer", place=place, hint="set vocab to train one, or name another file")
        report("tokenizer", 0)
        write(path, lambda file: file.write(train_bpe(texts(), vocab, special).to_str(pretty=True).encode()))
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exceptions
        raise LoadError(f"it is no tokenizer: {error}", place=place, hint="give a tokenizer.json") from None
    for token in special:
        if tokenizer.token_to_id(token) is None:
            raise LoadError(
                f"it has no token {token!r}", place=place, hint="name the one that it has, or train another tokenizer"
            )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def write(path: Path, fill: Callable[[Any], object]) -> None:
    """Write a file whole or not at all, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def token_bytes(tokenizer: Tokenizer, token: int) -> int:
    """UTF-8 bytes of what a token stands for; exact for byte-level tokens, whose characters are bytes."""
    text = tokenizer.id_to_token(token)
    byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
    return len(text) if byte_level else len(tokenizer.decode([token]).encode())


@attrs.frozen(eq=False)
class Stream:
    """All token ids of a split, document after document, each with `eos` at its end.

    Attributes:
        ids: ``(n,)``, uint16 or uint32.
        starts: where documents start, ascending int64.
        bytes: of the text in UTF-8.
        first_bytes: of the first token of each document, int64: nothing comes before it to predict it from.
    """

    ids: np.ndarray
    starts: np.ndarray
    bytes: int
    first_bytes: np.ndarray


def stream(tokenizer: Tokenizer, texts: Callable[[], Iterator[str]], eos: int, name: str) -> Stream:
    """Token ids of `texts`, held in memory."""
    parts, starts, firsts, size, count = [], list[int](), list[int](), 0, 0
    for ids, text_bytes in _encoded(tokenizer, texts(), eos):
        parts.append(ids)
        starts.append(count)
        firsts.append(token_bytes(tokenizer, int(ids[0])))
        size, count = size + text_bytes, count + len(ids)
        report(f"tokens {name}", count)
    ids = np.concatenate(parts) if parts else np.empty(0, _dtype(tokenizer))
    return Stream(ids, np.array(starts, np.int64), size, np.array(firsts, np.int64))


def stored(tokenizer: Tokenizer, texts: Callable[[], Iterator[str]], eos: int, name: str, folder: Path) -> Stream:
    """The same, kept in `folder` and mapped from there. What is there serves while texts and tokens are those."""
    digest = hashlib.sha256(f"{_FORMAT} {eos} {tokenizer.to_str()}".encode())
    for text in texts():
        digest.update(hashlib.sha256(text.encode()).digest())
    place = folder / f"{name}-{digest.hexdigest()[:16]}"
    facts = place.with_suffix(".json")
    if not facts.exists():
        starts, firsts, sizes = list[int](), list[int](), list[int]()

        def fill(file: Any) -> None:
            count = 0
            for ids, text_bytes in _encoded(tokenizer, texts(), eos):
                file.write(ids.tobytes())
                starts.append(count)
                firsts.append(token_bytes(tokenizer, int(ids[0])))
                sizes.append(text_bytes)
                count += len(ids)
                report(f"tokens {name}", count)

        write(place.with_suffix(".ids"), fill)
        write(place.with_suffix(".starts"), lambda file: file.write(np.array([starts, firsts], np.int64).tobytes()))
        write(facts, lambda file: file.write(json.dumps({"bytes": sum(sizes)}).encode()))
    size = json.loads(facts.read_text())["bytes"]
    ids = np.memmap(place.with_suffix(".ids"), _dtype(tokenizer), "r") if size else np.empty(0, _dtype(tokenizer))
    starts_firsts = np.fromfile(place.with_suffix(".starts"), np.int64).reshape(2, -1)
    return Stream(ids, starts_firsts[0], size, starts_firsts[1])


def _encoded(tokenizer: Tokenizer, texts: Iterator[str], eos: int) -> Iterator[tuple[np.ndarray, int]]:
    dtype = _dtype(tokenizer)
    while some := list(islice(texts, 64)):
        for text, encoding in zip(some, tokenizer.encode_batch_fast(some, add_special_tokens=False)):
            yield np.array([*encoding.ids, eos], dtype), len(text.encode())


def _dtype(tokenizer: Tokenizer) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
