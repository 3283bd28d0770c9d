"""Checked against Python's own integers, `fractions`, `decimal` and `math`."""

import math
import operator
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from dougong_tool_calculator import Params, dougong_tools
from dougong_tool_calculator.arithmetic import Arithmetic, normalised, shown
from dougong_tool_calculator.calculator import Calculator
from hypothesis import assume, example, given
from hypothesis import strategies as st

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
             "%": operator.mod}  # fmt: skip
FULL_WIDTH = str.maketrans({chr(code): chr(0xFEE0 + code) for code in range(0x21, 0x7F)} | {"*": "×", "/": "÷"})


def calculate(expression, **params):
    return Calculator(Params(**params)).call({"expression": expression})


def value(expression, **params):
    result = calculate(expression, **params)
    assert not result.error, result.text
    return result.text


def refusal(expression, **params):
    result = calculate(expression, **params)
    assert result.error, result.text
    return result.text


numbers = st.one_of(
    st.integers(0, 10**12).map(lambda n: (str(n), Fraction(n))),
    st.decimals(0, 10**6, places=4).map(lambda d: (f"{d:f}", Fraction(d))),
)


def combined(children):
    """Two expressions joined by an operator, and what Python makes of it."""

    def join(parts):
        (left, a), name, (right, b) = parts
        assume(b != 0 or name not in ("/", "//", "%"))
        return f"({left}) {name} ({right})", Fraction(OPERATORS[name](a, b))

    return st.one_of(
        st.tuples(children, st.sampled_from(sorted(OPERATORS)), children).map(join),
        children.map(lambda part: (f"-({part[0]})", -part[1])),
        st.tuples(children, st.integers(-3, 4)).filter(lambda p: p[0][1] != 0).map(
            lambda p: (f"({p[0][0]}) ** ({p[1]})", p[0][1] ** p[1])
        ),
    )  # fmt: skip


@given(st.recursive(numbers, combined, max_leaves=12))
def test_every_expression_is_what_fractions_make_of_it(case):
    text, wanted = case
    assert Arithmetic(4000).value(text) == wanted


@given(st.lists(st.integers(0, 999), min_size=1, max_size=30), st.data())
def test_precedence_is_that_of_arithmetic(numbers, data):
    """Chains without parentheses, against a shunting of products before sums."""
    names = [data.draw(st.sampled_from("+-*")) for _ in numbers[1:]]
    text = str(numbers[0]) + "".join(name + str(number) for name, number in zip(names, numbers[1:], strict=True))
    total, sign, product = 0, 1, numbers[0]
    for name, number in zip(names, numbers[1:], strict=True):
        if name == "*":
            product *= number
        else:
            total += sign * product
            sign, product = (1 if name == "+" else -1), number
    assert value(text) == str(total + sign * product)


@given(st.recursive(numbers, combined, max_leaves=6).map(lambda case: case[0]))
def test_full_width_writing_means_the_same(text):
    text = text.replace("//", "/").replace(" % ", " + ").replace("**", "^")
    assert normalised(text.translate(FULL_WIDTH)) == normalised(text)


@given(st.text(alphabet="0123456789.+-*/%^()（）×÷ ,=eabs_mxqrtlnogpi'[]{}:<>!~&|@²½万\ud800\0\n", max_size=60))
@example("9**9**9")
@example("1" + "0" * 400 + "**9")
@example("(" * 300)
@example("-" * 900 + "1")
@example("a" + ".b" * 400)
@example("exp(exp(exp(exp(9))))")
def test_no_text_breaks_it(text):
    """A number or a sentence, never an exception, and quickly: hypothesis has a deadline."""
    result = Calculator(Params()).call({"expression": text})
    assert result.text
    if not result.error:
        assert Decimal(result.text).is_finite()


@given(st.fractions(), st.integers(1, 30))
def test_what_is_shown_is_the_number_rounded_once(number, digits):
    text, exact = shown(number, digits)
    assert exact == (Fraction(Decimal(text)) == number)
    if not exact:
        with localcontext(prec=digits):
            assert Decimal(text) == Decimal(number.numerator) / Decimal(number.denominator)


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("0.1+0.2", "0.3"),
        ("1/3*3", "1"),
        ("10/3", "3.33333333333333"),
        ("2**-1", "0.5"),
        ("-2**2", "-4"),
        ("2^3^2", "512"),
        ("-7//2", "-4"),
        ("-7%3", "2"),
        ("007+08", "15"),
        ("1_000.5*2", "2001"),
        ("0.12345678901234567890*10**20", "12345678901234567890"),
        ("1e-400*1e400", "1"),
        ("1e-10", "1e-10"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1,234,567*2", "2469134"),
        ("max(1,234)", "234"),
        ("20%*50", "10"),
        ("100/20%", "500"),
        ("7%3", "1"),
        ("３×４＝", "12"),
        ("（１２＋８）×５÷４", "25"),
        ("[(1+2)×3−1]÷4", "2"),
        ("2·3", "6"),
        ("round(2.5) + round(3.5)", "6"),
        ("round(2.675, 2)", "2.68"),
        ("+".join(["1"] * 400), "400"),
        ("16-3-4", "9"),
        ("200*.05", "10"),
        ("(1/2)*80000*1.5", "60000"),
    ],
)
def test_values(expression, wanted):
    assert value(expression) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("sqrt(2)", math.sqrt(2)),
        ("2**0.5", math.sqrt(2)),
        ("exp(1)", math.e),
        ("e", math.e),
        ("π/2", math.pi / 2),
        ("ln(10)", math.log(10)),
        ("log(10)", math.log(10)),
        ("log(8,2)", 3),
        ("log10(1000)", 3),
        ("log2(1024)", 10),
        ("sin(1)+cos(1)*tan(1)", math.sin(1) + math.cos(1) * math.tan(1)),
        ("sin(pi)", 0),
        ("sin(1e-20)", 1e-20),
        ("comb(10, 3)+factorial(5)", 240),
        ("gcd(12, 18, 27)*lcm(4, 6)", 36),
        ("floor(-2.5)+ceil(2.1)+abs(-3)", 3),
        ("min(3, 2.5, sqrt(4))", 2),
    ],
)
def test_functions_agree_with_math(expression, wanted):
    assert float(value(expression)) == pytest.approx(wanted, rel=1e-14)


def test_exact_says_whether_digits_were_left_out():
    assert calculate("1/8").data == {"value": "0.125", "exact": True}
    assert calculate("1/3").data == {"value": "0.333333333333333", "exact": False}
    assert calculate("sqrt(16/9)*3").data == {"value": "4", "exact": True}
    assert calculate("sqrt(2)**2").data == {"value": "2", "exact": False}


def test_a_rounded_root_is_whole_again():
    """Ten digits more than are kept: without them the floor of 8 ** (1/3) would be 1."""
    assert value("floor(8**(1/3))") == "2"
    assert value("ceil(27**(1/3))") == "3"


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')", "(1).real", "'a'*3", "True+1", "1j", "0x1F", "lambda: 1", "x:=1", "f'{1}'",
        "[i for i in (1,)]", "1 if 2 else 3", "1<2", "~5", "5@3", "5<<3", "5|3", "x+1", "max(*[1])",
        "round(1, ndigits=1)", "1²", "½", "3 4", "2 x 3", "", "   ", "abs", "(lambda: 1)()", "1;2", "#",
    ],
)  # fmt: skip
def test_all_that_is_not_arithmetic_is_refused(expression):
    assert refusal(expression)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1/0", "division by zero"),
        ("5%0", "division by zero"),
        ("0**-1", "division by zero"),
        ("ln(0)", "no real value"),
        ("sqrt(-1)", "no real value"),
        ("(-8)**(1/3)", "no real value"),
        ("9**9**9", "more than 1000 digits"),
        ("1e999999999", "more than 1000 digits"),
        ("0.5**99999999", "more than 1000 digits"),
        ("factorial(100000)", "more than 1000 digits"),
        ("exp(10**9)", "more than 1000 digits"),
        ("sin(10**400)", "more than 1000 digits"),
        ("10**600*10**600", "more than 1000 digits"),
        ("comb(2.5, 1)", "whole numbers only"),
        ("sqrt(1, 2)", "takes 1 arguments, got 2"),
        ("cube(3)", "no function 'cube'; allowed: abs"),
        ("100%-20%", "may be a percentage or a remainder"),
        ("2 +* 3", "no arithmetic expression at character"),
        ("-" * 500 + "1", "nested deeper"),
        ("1" * 1001, "longer than 1000 characters"),
    ],
)
def test_a_refusal_says_why(expression, why):
    assert why in refusal(expression)


@pytest.mark.parametrize(
    "arguments", [{}, {"expression": 3}, {"expression": "1", "x": 2}, {"malformed_json": "{"}, {"expression": None}]
)
def test_wrong_arguments_are_a_result_that_the_model_can_mend(arguments):
    result = Calculator(Params()).call(arguments)
    assert result.error
    assert '{"expression": "..."}' in result.text


def test_one_is_no_growth_whatever_the_exponent():
    assert value("1**10**12 + (-1)**(10**12+1) + 0**10**12") == "0"


def test_limits_are_parameters():
    assert value("2**200", max_digits=100).startswith("16069")
    assert "20 digits" in refusal("2**200", max_digits=20)
    assert value("1/3", digits=3) == "0.333"
    with pytest.raises(ValueError, match="digits"):
        Params(digits=0)


def test_the_declared_technique_builds():
    (technique,) = dougong_tools()
    module, _, name = technique.factory.partition(":")
    assert (technique.name, module, name) == ("calculator", Calculator.__module__, "Calculator")
    built = Calculator(technique.params())
    assert (built.name, built.effect, built.parameters["required"]) == ("calculator", "read", ["expression"])
