"""tool.calculator on the calculations that GSM8K's solutions carry, ``<<48/2=24>>``."""

from __future__ import annotations

import json
import re
import time
from fractions import Fraction

from _bench import data, row
from dougong_tool_calculator import Params
from dougong_tool_calculator.calculator import Calculator


def main() -> None:
    folder = data("gsm8k")
    if folder is None:
        return
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    found = [item for line in lines for item in re.findall(r"<<(.*?)=([^=]*?)>>", json.loads(line)["answer"])]
    calculator, right = Calculator(Params()), 0
    start = time.perf_counter()
    results = [calculator.call({"expression": expression}) for expression, _ in found]
    seconds = time.perf_counter() - start
    for (_, wanted), result in zip(found, results, strict=True):
        # The annotations are rounded by hand, some to whole numbers.
        right += not result.error and abs(Fraction(result.text) - Fraction(wanted)) <= Fraction(1, 100) * max(
            1, abs(Fraction(wanted))
        )
    row(f"calculations of GSM8K's test set ({len(found)})", right / len(found), "share right to 1 %", bar="1.0",
        holds=right == len(found))  # fmt: skip
    row("a calculation", seconds / len(found) * 1e6, "us")


if __name__ == "__main__":
    main()
