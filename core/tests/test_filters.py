"""``where={...}``: the metadata filter that every retriever takes."""

from __future__ import annotations

from typing import Any

import pytest
from dougong import where

META = {"lang": "zh", "page": 3, "tags": ["a", "b"], "source": "docs/x.md", "none": None}


@pytest.mark.parametrize(
    ("filter", "want"),
    [
        (None, True),
        ({}, True),
        ({"lang": "zh"}, True),
        ({"lang": "en"}, False),
        ({"lang": "zh", "page": 4}, False),
        ({"page": {"gte": 3, "lt": 4}}, True),
        ({"page": {"gt": 3}}, False),
        ({"page": {"lte": "x"}}, False),
        ({"page": {"ne": 4}}, True),
        ({"page": {"in": [1, 3]}}, True),
        ({"source": {"prefix": "docs/"}}, True),
        ({"page": {"prefix": "3"}}, False),
        ({"tags": "b"}, True),
        ({"tags": {"in": ["z", "a"]}}, True),
        ({"tags": "c"}, False),
        ({"absent": "x"}, False),
        ({"absent": {"ne": "x"}}, True),
        ({"none": {"ne": "x"}}, True),
        ({"absent": {"ne": "x", "gt": 1}}, False),
        ({"page": {}}, True),
    ],
)
def test_a_filter_matches_as_it_says(filter: Any, want: bool) -> None:
    assert where(filter)(META) is want


def test_an_unknown_operator_is_named() -> None:
    with pytest.raises(ValueError, match=r"where\.page: unknown operator 'like'"):
        where({"page": {"like": 3}})
