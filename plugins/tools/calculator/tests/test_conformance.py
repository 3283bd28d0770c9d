from dougong.testing import ToolConformance

RIGHT = {
    "2 + 3 * 4": "14", "7 // 2": "3", "-7 // 2": "-4", "7.5 // 2": "3", "7 % 3": "1", "-7 % 3": "2", "7.5 % 2": "1.5",
    "10 - 4 - 3": "3", "24 / 4 / 2": "3", "--3": "3", "2*-3": "-6", "+3": "3", "2 ** 10": "1024", "2 ** -2": "0.25",
    "2 ^ 3 ^ 2": "512", "0**0": "1", "8 ** (1/3)": "2", "4**0.5": "2", "1/3": "0.333333333333333", "1/3*3": "1",
    "1/3 + 1/6": "0.5", "0.1+0.2": "0.3", "20% * 50": "10", "50%": "0.5", "10 %(3)": "1", "1,234 + 1": "1235",
    "max(1,234)": "234", "007+1": "8", "1e3": "1000", "1_000": "1000", "1e-20": "1e-20", "0.1**20": "1e-20",
    "（１＋２）×３÷２": "4.5", "【2+3】·2": "10", "5－2": "3", "12.5 * (3 + 4) / 2 =": "43.75", "1.50": "1.5",
    "sqrt(2)": "1.4142135623731", "sqrt(16)": "4", "abs(-3)": "3", "round(2.5)": "2", "round(3.5)": "4",
    "round(-2.5)": "-2", "round(2.675, 2)": "2.68", "round(1234.5,-2)": "1200", "floor(-2.5)": "-3", "ceil(2.1)": "3",
    "min(3,1,2)": "1", "max(3,1,2)": "3", "exp(1)": "2.71828182845905", "ln(e)": "1", "log(e)": "1",
    "log(100, 10)": "2", "log10(1000)": "3", "log2(8)": "3", "sin(pi/2)": "1", "sin(pi/6)": "0.5", "cos(0)": "1",
    "cos(pi)": "-1", "tan(0)": "0", "tan(pi/4)": "1", "sin(100)": "-0.506365641109759",
    "factorial(0)": "1", "factorial(20)": "2432902008176640000",
    "gcd(12,18)": "6", "gcd(12,18,4)": "2", "lcm(4,6)": "12", "comb(5,2)": "10", "comb(2,3)": "0",
    "pi": "3.14159265358979", "1/7*1000000": "142857.142857143", "123456789012345678901/10": "12345678901234600000",
    "exp(1000)": "1.97007111401705e+434", "10**20 + 1": "100000000000000000001", "exp(-50)": "1.92874984796392e-22",
}  # fmt: skip
WRONG = {
    "1 / 0": "division by zero", "5 // 0": "division by zero", "0**-1": "division by zero",
    "2 ** 10000": "a number of the calculation has more than 1000 digits",
    "factorial(1000)": "a number of the calculation has more than 1000 digits",
    "1e1001 * 1": "a number of the calculation has more than 1000 digits",
    "sqrt(-1)": "the function has no real value there", "ln(0)": "the function has no real value there",
    "(-8)**(1/3)": "the function has no real value there",
    "factorial(2.5)": "this function is defined for whole numbers only", "1+": "'1+' is no arithmetic expression",
    "min()": "min takes 1 or more arguments, got 0", "sqrt(1,2)": "sqrt takes 1 arguments, got 2",
    "0x10": "'0x10' is not a decimal number",
    "7 % -3": "'%' before a sign may be a percentage or a remainder; write (20/100) or 7 % (-3)",
}  # fmt: skip


def asks(expression):
    return {"expression": expression}


class TestCalculator(ToolConformance):
    name = "tool.calculator"
    examples = ({"expression": "2 + 3 * 4"}, {"expression": "（１＋２）×３"}, {"expression": "sqrt(2)"})
    wrong = tuple(
        map(asks, (*WRONG, "__import__('os')", "x", "1 < 2", "'a'", "1j", "foo(1)", "abs(x=1)", "(" * 200 + "1"))
    )
    golden = (
        *((asks(expression), text) for expression, text in {**RIGHT, **WRONG}.items()),
        ((asks("1/3"), "data"), {"value": "0.333333333333333", "exact": False}),
        ((asks("1/4"), "data"), {"value": "0.25", "exact": True}),
        ((asks("8 ** (1/3)"), "data"), {"value": "2", "exact": False}),
        ((asks("sqrt(16)"), "data"), {"value": "4", "exact": True}),
        ((asks("10**18 + 1"), "data"), {"value": "1000000000000000001", "exact": True}),
        ((asks("1/0"), "data"), None),
        (asks("2/3"), "0.67", {"digits": 2}),
        (asks("1/3"), "0.333333333333333333333333333333", {"digits": 30}),
        (asks("10**18 * 9"), "9" + "0" * 18, {"max_digits": 20}),
        (asks("10**21"), "a number of the calculation has more than 20 digits", {"max_digits": 20}),
        (asks("1/10**21"), "a number of the calculation has more than 20 digits", {"max_digits": 20}),
        (asks("1+1"), "2", {"max_length": 3}),
        (asks("1+10"), "the expression is longer than 3 characters; calculate it in parts", {"max_length": 3}),
    )
    refused = ({"digits": 0}, {"digits": 31}, {"max_digits": 19}, {"max_digits": 4001}, {"max_length": 0},
               {"max_length": 10_001})  # fmt: skip
    accepted = ({"digits": 1}, {"digits": 30}, {"max_digits": 20}, {"max_digits": 4000}, {"max_length": 1},
                {"max_length": 10_000})  # fmt: skip
