"""An arithmetic expression to a number: an allow-list over Python's syntax tree, with limits, without eval.

A number is a `Fraction` while it is exact, and a `Decimal` of 40 digits once a root, a logarithm or the like has
rounded it; what is made of a rounded number is rounded. Division is exact: ``1/3*3`` is 1, and ``0.1+0.2`` is 0.3.
"""

from __future__ import annotations

import ast
import decimal
import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

Number = Fraction | Decimal

# Rounded functions work with ten digits more than are kept, so that 8 ** (1/3) is 2 and its floor is too.
_WORK, _KEEP = decimal.Context(prec=50), decimal.Context(prec=40)
_MAX_DEPTH = 100

# Full-width forms by their ASCII twins, and the signs of arithmetic. Not NFKC, which makes 12 of 1².
_SIGNS = str.maketrans(
    {chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)}
    | dict(zip("×✕·÷−–—【】〔〕[]、", "***/---()()(),", strict=True))
)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%(?=\s*(?:$|[)*/,]))")
_UNCLEAR_PERCENT = re.compile(r"%\s*[-+]")
_THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d,])")
_LEADING_ZEROS = re.compile(r"(?<![\w.])0+(?=\d)")


def normalised(text: str) -> str:
    """`text` as Python writes it: full-width characters, × ÷ ^, 1,234 and 20% are understood, a last = is dropped."""
    text = " ".join(text.translate(_SIGNS).split()).rstrip("= ").replace("^", "**")
    if not re.search(r"[a-z]\s*\(", text):  # within a call a comma separates arguments
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _PERCENT.sub(r"(\1/100)", text)
    if _UNCLEAR_PERCENT.search(text):
        raise ValueError("'%' before a sign may be a percentage or a remainder; write (20/100) or 7 % (-3)")
    return _LEADING_ZEROS.sub("", text)


class Arithmetic:
    """Evaluates expressions whose numbers have at most `max_digits` digits."""

    def __init__(self, max_digits: int) -> None:
        self._max_digits = max_digits
        self._max_bits = math.ceil(max_digits * math.log2(10))

    def value(self, text: str) -> Number:
        """The value of `text`. Raises ValueError, with a sentence that a model can act on, for all that has none."""
        text = normalised(text)
        try:
            tree = ast.parse(text, mode="eval")
        except (MemoryError, RecursionError):
            raise ValueError("nested too deeply; calculate it in parts") from None
        except (SyntaxError, ValueError) as error:
            where = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
            raise ValueError(f"{text[:200]!r} is no arithmetic expression{where}") from None
        try:
            with decimal.localcontext(_WORK):
                return self._value(tree.body, text, 0)
        except ZeroDivisionError:
            raise ValueError("division by zero") from None
        except (OverflowError, decimal.Overflow):
            raise self._too_large() from None
        except decimal.DecimalException:
            raise ValueError("the function has no real value there") from None

    def _value(self, node: ast.expr, text: str, depth: int) -> Number:
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH}; calculate it in parts")
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self._literal(_written(node, text))
        if isinstance(node, ast.BinOp):
            return self._chain(node, text, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
            value = self._value(node.operand, text, depth + 1)
            return -value if isinstance(node.op, ast.USub) else value
        if isinstance(node, ast.Name) and node.id in _CONSTANTS:
            return _KEEP.plus(_CONSTANTS[node.id])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, [self._value(item, text, depth + 1) for item in node.args])
        raise ValueError(f"{_written(node, text)[:80]!r} is not arithmetic; allowed: {_ALLOWED}")

    def _chain(self, node: ast.BinOp, text: str, depth: int) -> Number:
        """``a + b - c``: nested to the left, as deep as the sum is long, so this goes along it without recursion."""
        steps: list[ast.BinOp] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp):
            steps.append(left)
            left = left.left
        a = self._value(left, text, depth + 1)
        for step in reversed(steps):
            b = self._value(step.right, text, depth + 1)
            if isinstance(step.op, ast.Pow):
                a = self._checked(self._power(a, b))
            elif type(step.op) in _BINARY:
                a = self._checked(_binary(step.op, a, b))
            else:
                raise ValueError(f"{_written(step, text)[:80]!r} is not arithmetic; allowed: {_ALLOWED}")
        return a

    def _literal(self, text: str) -> Fraction:
        if not re.fullmatch(r"[\d_.]+(e[+-]?\d+)?", text, re.IGNORECASE):
            raise ValueError(f"{text!r} is not a decimal number")
        exact = Decimal(text.replace("_", ""))
        if exact and not -self._max_digits <= exact.adjusted() <= self._max_digits:
            raise self._too_large()
        return Fraction(exact)

    def _power(self, base: Number, exponent: Number) -> Number:
        if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
            bits = max(base.numerator.bit_length(), base.denominator.bit_length()) - 1
            if bits * abs(exponent.numerator) > self._max_bits:
                raise self._too_large()
            return base**exponent.numerator
        return _rounded(lambda: _WORK.power(_decimal(base), _decimal(exponent)))

    def _call(self, name: str, values: list[Number]) -> Number:
        if name not in _FUNCTIONS:
            raise ValueError(f"there is no function {name!r}; allowed: {', '.join(_FUNCTIONS)}")
        function, least, most = _FUNCTIONS[name]
        if not least <= len(values) <= most:
            wanted = f"{least}" if least == most else f"{least} or more" if most > 9 else f"{least} or {most}"
            raise ValueError(f"{name} takes {wanted} arguments, got {len(values)}")
        if name in ("factorial", "comb") and max(Fraction(value) for value in values) > self._max_digits:
            raise self._too_large()
        return self._checked(function(*values))

    def _checked(self, value: Number) -> Number:
        exact = Fraction(value) if isinstance(value, Fraction) or abs(value.adjusted()) <= self._max_digits else None
        if exact is None or max(exact.numerator.bit_length(), exact.denominator.bit_length()) > self._max_bits:
            raise self._too_large()
        return value

    def _too_large(self) -> ValueError:
        return ValueError(f"a number of the calculation has more than {self._max_digits} digits")


def shown(value: Number, digits: int) -> tuple[str, bool]:
    """`value` in decimal notation, and whether that is exact. Whole numbers in full, others to `digits` digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return str(value.numerator), True
    context = decimal.Context(prec=digits)
    if isinstance(value, Fraction):
        rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    else:
        rounded = context.plus(value)
    rounded = rounded.normalize(context)
    exact = isinstance(value, Fraction) and Fraction(rounded) == value
    plain = -7 <= rounded.adjusted() < 21 or not rounded
    return (f"{rounded:f}" if plain else f"{rounded:e}"), exact


def _written(node: ast.expr, text: str) -> str:
    return text.encode()[node.col_offset : node.end_col_offset].decode()


def _binary(op: ast.operator, a: Number, b: Number) -> Number:
    exact = Fraction(_BINARY[type(op)](Fraction(a), Fraction(b)))
    return exact if isinstance(a, Fraction) and isinstance(b, Fraction) else _KEEP.plus(_decimal(exact))


def _decimal(value: Number) -> Decimal:
    return value if isinstance(value, Decimal) else _WORK.divide(Decimal(value.numerator), Decimal(value.denominator))


def _rounded(function: Callable[[], Decimal]) -> Decimal:
    value = _KEEP.plus(function())
    if not value.is_finite():
        raise ValueError("the function has no real value there")
    return value


def _of_decimal(function: Callable[[Decimal], Decimal]) -> Callable[[Number], Number]:
    return lambda x: _rounded(lambda: function(_decimal(x)))


def _of_float(function: Callable[[float], float]) -> Callable[[Number], Number]:
    def call(x: Number) -> Number:
        value = function(float(x))
        if abs(value) < 1e-15 * abs(float(x)):  # a zero of the function, missed because a float's pi is not pi
            value = 0.0
        return _rounded(lambda: decimal.Context(prec=15).create_decimal_from_float(value))

    return call


def _of_integers(function: Callable[..., int]) -> Callable[..., Number]:
    def call(*values: Number) -> Number:
        if not all(isinstance(value, Fraction) and value.denominator == 1 for value in values):
            raise ValueError("this function is defined for whole numbers only")
        return Fraction(function(*(value.numerator for value in values if isinstance(value, Fraction))))

    return call


def _of_exact(function: Callable[[Fraction], int]) -> Callable[[Number], Number]:
    return lambda x: Fraction(function(Fraction(x)))


def _sqrt(x: Number) -> Number:
    if isinstance(x, Fraction) and x >= 0:
        root = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
        if root * root == x:
            return root
    return _rounded(_decimal(x).sqrt)


def _log(x: Number, base: Number | None = None) -> Number:
    return _rounded(lambda: _decimal(x).ln() if base is None else _decimal(x).ln() / _decimal(base).ln())


def _round(x: Number, places: Number = Fraction(0)) -> Number:
    if not isinstance(places, Fraction) or places.denominator != 1 or abs(places) > 1000:
        raise ValueError("round takes a whole number of places")
    return Fraction(round(Fraction(x), places.numerator))


def _extreme(choose: Callable[..., Number]) -> Callable[..., Number]:
    return lambda *values: choose(values, key=Fraction)


_CONSTANTS = {
    "pi": Decimal("3.14159265358979323846264338327950288419716939937511"),
    "π": Decimal("3.14159265358979323846264338327950288419716939937511"),
    "e": Decimal("2.71828182845904523536028747135266249775724709369996"),
}
_BINARY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_MANY = 1000
_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {
    "abs": (abs, 1, 1),
    "round": (_round, 1, 2),
    "floor": (_of_exact(math.floor), 1, 1),
    "ceil": (_of_exact(math.ceil), 1, 1),
    "min": (_extreme(min), 1, _MANY),
    "max": (_extreme(max), 1, _MANY),
    "sqrt": (_sqrt, 1, 1),
    "exp": (_of_decimal(Decimal.exp), 1, 1),
    "ln": (_of_decimal(Decimal.ln), 1, 1),
    "log": (_log, 1, 2),
    "log10": (_of_decimal(Decimal.log10), 1, 1),
    "log2": (lambda x: _log(x, Fraction(2)), 1, 1),
    "sin": (_of_float(math.sin), 1, 1),
    "cos": (_of_float(math.cos), 1, 1),
    "tan": (_of_float(math.tan), 1, 1),
    "factorial": (_of_integers(math.factorial), 1, 1),
    "gcd": (_of_integers(math.gcd), 1, _MANY),
    "lcm": (_of_integers(math.lcm), 1, _MANY),
    "comb": (_of_integers(math.comb), 2, 2),
}
_ALLOWED = f"+ - * / // % ** ( ), {', '.join(_FUNCTIONS)}, pi, e"
