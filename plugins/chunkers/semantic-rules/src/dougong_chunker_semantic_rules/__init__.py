"""chunker.semantic-rules: cuts where headings, paragraphs, cue words and vocabulary say that the subject changes."""

from __future__ import annotations

import attrs
from dougong import Technique, Tokenizer, hookimpl, slot

# A sentence that begins so is likely to begin something else, or to go on with the one before. Lower case.
TURNS = (
    "however, on the other hand, in contrast, in conclusion, in summary, to summarize, to sum up, finally, next, "
    "another, meanwhile, turning to, as for, regarding, first, second, third, lastly, overall, "
    "然而, 但是, 不过, 另一方面, 与此相反, 综上, 总之, 总而言之, 最后, 首先, 其次, 再次, 接下来, 此外, 另外, "
    "同时, 至于, 关于, 却说, 且说, 話說, 话说, 第一, 第二, 第三"
)
TIES = (
    "it, this, these, those, they, he, she, its, their, his, her, such, for example, for instance, therefore, thus, "
    "hence, because, so, that is, in other words, also, and, "
    "它, 这, 這, 那, 他, 她, 其, 此, 例如, 比如, 因此, 所以, 因为, 因為, 于是, 於是, 也就是说, 换言之, 即, 并且, 而且"
)


@attrs.frozen
class Params:
    """Parameters of chunking by rules.

    size: tokens that a chunk has at most.
    minimum: tokens below which a chunk is joined to a neighbour if both fit into size.
    threshold: score above which a gap is cut; a heading scores about 2, a paragraph 0.75, a line 0.5, a cue word
        0.5, a valley of vocabulary up to 1.
    turns: words at the start of a sentence that begin something else, separated by commas.
    ties: words at the start of a sentence that go on with the one before, separated by commas.
    tokenizer: what a token is.
    """

    size: int = attrs.field(default=400)
    minimum: int = attrs.field(default=50)
    threshold: float = 1.0
    turns: str = TURNS
    ties: str = TIES
    tokenizer: Tokenizer = slot("words")

    @size.validator
    def _size_is_positive(self, attribute: object, value: int) -> None:
        if value < 1:
            raise ValueError("must be 1 or more; 400 is usual")

    @minimum.validator
    def _minimum_is_within_size(self, attribute: object, value: int) -> None:
        if not 0 <= value <= max(1, self.size):
            raise ValueError(f"must be 0 or more and at most size ({self.size}); an eighth of size is usual")


@hookimpl
def dougong_chunkers() -> list[Technique]:
    return [
        Technique(
            "semantic-rules",
            Params,
            "dougong_chunker_semantic_rules.rules:SemanticRules",
            summary="Cuts where headings, paragraphs, cue words and vocabulary say that the subject changes.",
            source="Hearst 1997, TextTiling; cue phrases after Passonneau and Litman 1997",
        )
    ]
