"""A draft is cut into statements, each with its own quotes."""

from dougong import Chunk, Hit, Span
from dougong_pattern_rag.statements import split
from hypothesis import given
from hypothesis import strategies as st

TEXT = "The hall was built in 857.[3] It is wide. 大殿宽34米。"
HITS = [Hit(Chunk("a", "a", TEXT, Span(0, len(TEXT)), meta={"line": 1}), 1.0)] * 2


def cut(draft):
    return [(s.text, [c.quote for c in s.citations], s.fault) for s in split(draft, HITS)]


def test_each_quote_with_its_label_ends_a_statement():
    assert cut('It is old: "The hall was built in 857." [1]. It is big: “It is wide.” [2]') == [
        ('It is old: "The hall was built in 857." [1]. ', ["The hall was built in 857."], ""),
        ("It is big: “It is wide.” [2]", ["It is wide."], ""),
    ]


def test_several_labels_are_one_statement_and_a_number_within_a_quote_is_the_sources_own():
    quote = "The hall was built in 857.[3] It is wide."
    assert cut(f"Old “{quote}” [1][2], 大殿很宽“大殿宽34米。” [1, 2]。") == [
        (f"Old “{quote}” [1][2], ", [quote] * 2, ""),
        ("大殿很宽“大殿宽34米。” [1, 2]。", ["大殿宽34米。"] * 2, ""),
    ]


def test_what_no_quote_stands_for_is_faulty():
    assert cut("Big “It is wide.” [1] So it is. “It is tall.” [1] And bare [2] and rest") == [
        ("Big “It is wide.” [1] ", ["It is wide."], ""),
        ("So it is. “It is tall.” [1] ", [], "no-quote"),
        ("And bare [2] ", [], "no-quote"),
        ("and rest", [], "no-quote"),
    ]


def test_words_are_what_is_claimed_beyond_the_quotes():
    (statement,) = split("Big “It is wide.” [1]", HITS)
    assert statement.words.strip() == "Big"
    assert not statement.bare
    assert split("“It is wide.” [1]", HITS)[0].bare


@given(st.text(alphabet='Iti swde.“”"[]12,\n。大殿', max_size=80))
def test_any_draft_is_the_sum_of_its_statements_and_citations_are_exact(draft):
    statements = split(draft, HITS)
    assert "".join(s.text for s in statements) == (draft if draft.strip() else "".join(s.text for s in statements))
    for s in statements:
        assert bool(s.citations) == bool(s.passages)
        for citation in s.citations:
            assert citation.span.of(TEXT) == citation.quote
