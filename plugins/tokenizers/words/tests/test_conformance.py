"""tokenizer.words passes the kit."""

from __future__ import annotations

from dougong.testing import TokenizerConformance


class TestWords(TokenizerConformance):
    name = "tokenizer.words"
    golden = (
        ("Don't pay $3.50!", ["Don't", "pay", "$", "3.50", "!"]),
        ("斗拱连接柱与梁，用BM25。", ["斗拱", "连接", "柱", "与", "梁", "，", "用", "BM25", "。"]),
        ("a-b_c 1,000.5 x", ["a", "-", "b", "_", "c", "1,000.5", "x"]),
        ("木构 don’t 'tis 3. .5", ["木构", "don’t", "'", "tis", "3", ".", ".", "5"]),
        ("斗拱是中國傳統建築", ["斗拱", "是", "中國", "傳統", "建築"]),
        ("कि한국어 é😀x²", ["कि", "한국어", "é", "😀", "x²"]),
    )
