"""objective.masked-lm: predict the hidden tokens of texts."""

from pathlib import Path
from typing import Any

import attrs
from attrs.validators import and_, ge, gt, le, lt, min_len, optional
from dougong import Technique, hookimpl


def _has_validation(instance: Any, _: Any, share: float) -> None:
    if share and instance.validation:
        raise ValueError("must be 0 where there are validation files; nothing is held out of the others then")


def _leaves_room(instance: Any, _: Any, share: float) -> None:
    if instance.masked + share > 1:
        raise ValueError(f"must be at most {1 - instance.masked:g}, 1 - masked; lower one of the two")


@attrs.frozen
class Params:
    """
    files: texts to learn from, UTF-8. A ``.jsonl`` file has a document a line, any other one is a document by itself
        unless `separator` parts it.
    tokenizer: a tokenizer.json. Where there is none and `vocab` is set, it is trained on the training texts and
        written there.
    vocab: tokens of a byte-level BPE to train, 256 bytes and the special tokens included; null if the file must exist.
    length: tokens a row at most, `cls` and `sep` included.
    batch: rows a batch.
    validation: texts to measure by.
    holdout: share, in [0, 1), at the end of each of `files` that is measured by instead of learned from: documents, or
        code points of a single document. 0 where `validation` is given.
    separator: text between the documents of a file; empty if a file is one document.
    field: name of the text in a line of JSON.
    rate: share of a row's tokens that are to be predicted, in (0, 1]; at least one is.
    masked: share of those that `mask` stands for.
    random: share of those that a token drawn at random stands for; the rest stay as they are.
    cls, sep, mask, pad: special tokens: before a row, after it, in place of a token, and where a row is short.
    epochs: how often the training split goes over all rows, each time in another order and with other masks.
    seed: of orders and masks.
    """

    files: list[Path] = attrs.field(validator=min_len(1))
    tokenizer: Path
    vocab: int | None = attrs.field(default=None, validator=optional(ge(260)))
    length: int = attrs.field(default=512, validator=ge(3))
    batch: int = attrs.field(default=16, validator=ge(1))
    validation: list[Path] = attrs.field(factory=list)
    holdout: float = attrs.field(default=0.0, validator=and_(ge(0), lt(1), _has_validation))
    separator: str = ""
    field: str = attrs.field(default="text", validator=min_len(1))
    rate: float = attrs.field(default=0.15, validator=and_(gt(0), le(1)))
    masked: float = attrs.field(default=0.8, validator=and_(ge(0), le(1)))
    random: float = attrs.field(default=0.1, validator=and_(ge(0), le(1), _leaves_room))
    cls: str = attrs.field(default="[CLS]", validator=min_len(1))
    sep: str = attrs.field(default="[SEP]", validator=min_len(1))
    mask: str = attrs.field(default="[MASK]", validator=min_len(1))
    pad: str = attrs.field(default="[PAD]", validator=min_len(1))
    epochs: int = attrs.field(default=1, validator=ge(1))
    seed: int = attrs.field(default=0, validator=ge(0))


@hookimpl
def dougong_objectives() -> list[Technique]:
    return [
        Technique(
            "masked-lm",
            Params,
            "dougong_objective_masked_lm.objective:MaskedLM",
            summary="Pre-training of an encoder by predicting hidden tokens of text files.",
            source="Devlin et al. 2019 (BERT), section 3.1; Liu et al. 2019 (RoBERTa), section 4.1",
        )
    ]
