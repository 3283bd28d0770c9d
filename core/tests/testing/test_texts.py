"""The kit's texts are what they claim to be."""

from __future__ import annotations

import pytest
from dougong.testing import CORPUS, HOSTILE, ORDINARY, chunks, documents
from dougong.testing.loader import check_tree
from dougong.testing.texts import CLUSTERS, TREES, cuts_grapheme, outlined
from hypothesis import given

regex = pytest.importorskip("regex")


def boundaries(text: str) -> set[int]:
    """Of graphemes, as the regex library finds them."""
    return {0, len(text), *(match.end() for match in regex.finditer(r"\X", text))}


@pytest.mark.parametrize("text", [*ORDINARY.values(), *HOSTILE.values(), *(tree.text for tree in TREES)])
def test_what_is_called_a_cut_is_one(text: str) -> None:
    """Where the kit says that a grapheme is cut, the regex library sees no boundary either."""
    inside = {at for at in range(len(text)) if cuts_grapheme(text, at)}
    assert not inside & boundaries(text)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_a_cluster_is_one_grapheme_wherever_it_stands(cluster: str) -> None:
    """And the kit knows every place inside it."""
    text = f"a {cluster}字{cluster} "
    assert boundaries(cluster) == {0, len(cluster)}
    assert {at for at in range(len(text)) if cuts_grapheme(text, at)} == set(range(len(text))) - boundaries(text)


def test_trees_hold_together() -> None:
    for document in TREES:
        check_tree(document, document.id)


def test_an_outline_is_its_parts() -> None:
    document = outlined("a", ("heading", "# T 标", 1), ("list", [("item", "- x"), ("item", "- y")], 1), gap="\n")
    assert document.text == "# T 标\n- x\n- y"
    assert [(node.kind, node.title, node.span.of(document.text)) for node in document.tree.walk()][1:] == [
        ("heading", "T 标", "# T 标"),
        ("list", "", "- x\n- y"),
        ("item", "", "- x"),
        ("item", "", "- y"),
    ]


def test_documents_and_chunks_have_ids_of_their_own() -> None:
    assert len({document.id for document in documents()}) == len(documents())
    assert len({chunk.id for chunk in chunks()}) == len(CORPUS)
    assert all(not any("\ud800" <= c <= "\udfff" for c in document.text) for document in documents())


def test_random_trees_hold_together() -> None:
    from dougong.testing.texts import examples, random_trees

    @examples(50)
    @given(random_trees())
    def check(document: object) -> None:
        check_tree(document, "random")

    check()
