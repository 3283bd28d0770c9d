"""retriever.parent: small chunks searched, their sections returned; retriever.top-down: sections, then inside them."""

from __future__ import annotations

import attrs
from dougong import Library, Retriever, Technique, Tokenizer, hookimpl, slot


@attrs.frozen
class Params:
    """Parameters of small-to-big retrieval.

    library: holds the documents' texts; it must have ``text(document)``, as retriever.library does.
    of: what is searched, its hits chunks of the same documents; None for the library itself.
    tokens: of all hits of one search together, at most.
    pool: small chunks that are searched for; k where that is more.
    tokenizer: what a token is.
    """

    library: Library
    of: Retriever | None = None
    tokens: int = attrs.field(default=4000, validator=attrs.validators.ge(1))
    pool: int = attrs.field(default=50, validator=attrs.validators.ge(1))
    tokenizer: Tokenizer = slot("words")


@attrs.frozen
class TopDownParams:
    """Parameters of top-down retrieval.

    sections: finds the sections: the same documents in large chunks.
    of: finds the chunks inside them.
    first: sections that are looked into.
    pool: chunks that are searched for, in and around the sections; k where that is more.
    """

    sections: Retriever
    of: Retriever
    first: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    pool: int = attrs.field(default=200, validator=attrs.validators.ge(1))


@hookimpl
def dougong_retrievers() -> list[Technique]:
    return [
        Technique(
            "parent",
            Params,
            "dougong_retriever_parent.parent:Parents",
            summary="Small chunks are searched, the sections that enclose them returned, within a budget of tokens.",
            source="small-to-big retrieval, as LangChain's ParentDocumentRetriever",
        ),
        Technique(
            "top-down",
            TopDownParams,
            "dougong_retriever_parent.top_down:TopDown",
            summary="Sections are searched first, then the chunks inside the best of them.",
            source="Liu et al. 2021, Dense Hierarchical Retrieval for Open-Domain Question Answering, arXiv:2110.15439",
        ),
    ]
