"""tool.calculator: arithmetic, exact as long as it can be, without eval."""

from __future__ import annotations

import attrs
from attrs.validators import and_, ge, le
from dougong import Technique, hookimpl

DESCRIPTION = """\
Calculate an arithmetic expression exactly. Operators + - * / // % ** and parentheses; functions abs round floor ceil \
min max sqrt exp ln log log10 log2 sin cos tan factorial gcd lcm comb; constants pi and e. 精确计算算术表达式。"""


@attrs.frozen
class Params:
    """What a model reads, and limits.

    description: what the tool does, as its model sees it.
    digits: significant digits of a result that is no whole number.
    max_digits: digits that any number of the calculation may have, above or below the fraction bar.
    max_length: characters an expression.
    """

    description: str = DESCRIPTION
    digits: int = attrs.field(default=15, validator=and_(ge(1), le(30)))
    max_digits: int = attrs.field(default=1000, validator=and_(ge(20), le(4000)))
    max_length: int = attrs.field(default=1000, validator=and_(ge(1), le(10_000)))


@hookimpl
def dougong_tools() -> list[Technique]:
    return [
        Technique(
            "calculator",
            Params,
            "dougong_tool_calculator.calculator:Calculator",
            summary="Exact arithmetic in whole numbers, fractions and decimals, without eval.",
            source="dougong; an allow-list over Python's grammar (docs.python.org/3/library/ast.html)",
        )
    ]
