"""Six questions over the documents in examples/corpus, three English and three Chinese, through the real command."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

HERE = Path(__file__).parent


def main() -> int:
    questions = YAML(typ="safe", pure=True).load(HERE / "questions.yaml")
    corpus = HERE.relative_to(Path.cwd()) / "corpus" if HERE.is_relative_to(Path.cwd()) else HERE / "corpus"
    dougong = str(Path(sys.executable).with_name("dougong"))
    for question in (case["question"] for language in ("en", "zh") for case in questions["demo"][language]):
        print(f"\n$ dougong ask {corpus} {shlex.quote(question)}", flush=True)
        code = subprocess.run([dougong, "ask", str(corpus), question], check=False).returncode
        if code:
            return code
    print(f'\nYour own documents:\n\n  {Path(dougong)} ask FOLDER "your question"\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
