"""retriever.hyde: hypothetical answers are embedded in the query's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from dougong import LLM, Embedder, Hit, Retriever, Technique, hookimpl

if TYPE_CHECKING:
    import numpy as np

PROMPT_EN = """\
Write a short passage that answers the question, as a document would that holds the answer. Write it even where you \
are not sure: it is only used to search for the real one. Reply with the passage alone, in the language of the \
question."""

PROMPT_ZH = """\
请写一小段回答这个问题的文字，写得像载有答案的文档一样。不确定也要写：它只用来检索真正的文档。只回复这段文字，\
使用提问的语言。"""


class Dense(Retriever, Protocol):
    """A retriever that can be searched by a vector, too.

    `vector`: float32 ``(dim,)``, unit length, of the embedder with which its chunks were embedded. Hits as of `search`.
    """

    def search_vector(self, vector: np.ndarray, k: int = 10, where: Mapping[str, Any] | None = None) -> list[Hit]: ...


def _not_blank(instance: Any, attribute: Any, value: str) -> None:
    if not value.strip():
        raise ValueError("must be a text; leave it out for its default")


@attrs.frozen
class Params:
    """Parameters of HyDE.

    of: a dense index; it must have ``search_vector(vector, k, where)``.
    embedder: the one with which its chunks are embedded.
    llm: writes the hypothetical answers.
    answers: how many, each in a call of its own.
    temperature, max_tokens: of the model.
    prompt_en, prompt_zh: the system message for a query in English and in Chinese; say there what kind of document
        holds the answer.
    """

    of: Retriever
    embedder: Embedder
    llm: LLM
    answers: int = attrs.field(default=8, validator=[attrs.validators.ge(1), attrs.validators.le(64)])
    temperature: float = attrs.field(default=0.7, validator=[attrs.validators.ge(0), attrs.validators.le(2)])
    max_tokens: int = attrs.field(default=512, validator=attrs.validators.ge(1))
    prompt_en: str = attrs.field(default=PROMPT_EN, validator=_not_blank)
    prompt_zh: str = attrs.field(default=PROMPT_ZH, validator=_not_blank)


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "hyde",
            Params,
            "dougong_retriever_hyde.hyde:HyDE",
            summary="A chat model writes hypothetical answers; what lies near their mean vector is found.",
            source="Gao et al. 2023, Precise Zero-Shot Dense Retrieval without Relevance Labels, arXiv:2212.10496",
        )
    ]
