"""objective.causal-lm: predict the next token of texts."""

from pathlib import Path
from typing import Any

import attrs
from attrs.validators import and_, ge, lt, min_len, optional
from dougong import Technique, hookimpl


def _has_validation(instance: Any, _: Any, share: float) -> None:
    if share and instance.validation:
        raise ValueError("must be 0 where there are validation files; nothing is held out of the others then")


@attrs.frozen
class Params:
    """
    files: texts to learn from, UTF-8. A ``.jsonl`` file has a document a line, any other one is a document by itself
        unless `separator` parts it.
    tokenizer: a tokenizer.json. Where there is none and `vocab` is set, it is trained on the training texts and
        written there.
    vocab: tokens of a byte-level BPE to train, its 256 bytes and `eos` included; null if the file must exist.
    length: tokens a row. Rows overlap by one token, so that each token is predicted once.
    batch: rows a batch.
    validation: texts to measure by.
    holdout: share, in [0, 1), at the end of each of `files` that is measured by instead of learned from: documents, or
        code points of a single document. 0 where `validation` is given.
    separator: text between the documents of a file, ``"\\n\\n\\n"`` say; empty if a file is one document.
    field: name of the text in a line of JSON.
    eos: token that ends each document.
    cross_documents: whether a token may see, and is predicted from, the documents before its own in the row.
    epochs: how often the training split goes over all its rows, each time in another order.
    seed: of the orders.
    store: folder where the token ids are kept in files, which then are mapped rather than held in memory; null to
        hold them.
    """

    files: list[Path] = attrs.field(validator=min_len(1))
    tokenizer: Path
    vocab: int | None = attrs.field(default=None, validator=optional(ge(257)))
    length: int = attrs.field(default=1024, validator=ge(2))
    batch: int = attrs.field(default=8, validator=ge(1))
    validation: list[Path] = attrs.field(factory=list)
    holdout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1), _has_validation))
    separator: str = ""
    field: str = attrs.field(default="text", validator=min_len(1))
    eos: str = attrs.field(default="<|endoftext|>", validator=min_len(1))
    cross_documents: bool = False
    epochs: int = attrs.field(default=1, validator=ge(1))
    seed: int = attrs.field(default=0, validator=ge(0))
    store: Path | None = None


@hookimpl
def dougong_objectives() -> list[Technique]:
    return [
        Technique(
            "causal-lm",
            Params,
            "dougong_objective_causal_lm.objective:CausalLM",
            summary="Pre-training by predicting the next token, on packed rows of text files.",
            source="Radford et al. 2018 (GPT), section 3.1; Brown et al. 2020 (GPT-3), section 2.3 (packing)",
        )
    ]
