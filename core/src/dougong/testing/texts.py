"""Texts that techniques are tried on: ordinary ones, hostile ones, a small corpus; English, Chinese and mixed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from dougong.types import Chunk, Document, Section, Span

if TYPE_CHECKING:
    from hypothesis import settings
    from hypothesis.strategies import SearchStrategy

CLUSTERS = (
    "👨‍👩‍👧‍👦", "👩🏽‍💻", "🏳️‍🌈", "🇨🇳", "🇬🇧", "👍🏿", "❤️", "1️⃣",
    "e\u0301", "a\u0308\u0332", "ᄀ\u1161\u11a8", "각", "ก\u0e33", "ห\u0e4c", "नि", "த\u0bbf", "葛\U000e0100", "\r\n",
)  # fmt: skip
"""Graphemes of several code points (but one), each to be kept whole. Source: Unicode Standard Annex 29."""

_PREPENDED = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2"
_CLUSTER = re.compile("|".join(map(re.escape, sorted(CLUSTERS, key=len, reverse=True))))

ENGLISH = """The brackets of timber building, called dougong, join columns and beams without a nail. Mr. Li Jie \
printed the rules in 1103; prices rose by 3.5 percent that year. "How does it stand?" he asked. It bends, and it lasts!

Each set has a block (dou) and an arm (gong). Loads pass from the eaves, through the arms, to the column. In an \
earthquake the joints slide a little and take up the energy.

A second set stands on the first. See www.example.org/dougong?id=7 or write to li.jie@example.org."""

CHINESE = """斗拱是中国古代建筑特有的构件。它位于柱与梁之间，不用一根钉子。\
李诫于1103年刊行《营造法式》，其中说：“凡构屋之制，皆以材为祖。”

每一组斗拱由斗和拱组成！荷载从屋檐经过拱臂传到柱子上。地震的时候，\
榫卯会稍微滑动，吸收能量；所以古塔能站立千年吗？能。

第二组叠在第一组之上……如此层层出挑。"""

MIXED = """# RAG 系统的 chunk 大小

我们用 BM25（k1=1.5）和 dense embedding 做 hybrid 检索。The recall@10 is 0.87，比 baseline 高 3.2%。

使用 `pip install dougong` 安装。然后 run `dougong ask docs/ "什么是斗拱?"`，答案会带上 citations。"""

OUTLINE = """Before any heading. 标题之前。

# One 一

A paragraph of the first chapter,
on two lines.

## Two 二

- an item
- 一项
  - inside it

| name | 名 |
|---|---|
| arm | 拱 |
| block | 斗 |

# Three

> To build. 凡构屋之制。
"""

CODE = """def search(query, k=10):
    if k < 1:
        raise ValueError("k must be at least 1")

    return sorted(index[query], key=lambda hit: (-hit.score, hit.id))[:k]


class Index:
\tpass
"""

ORDINARY: dict[str, str] = {
    "english": ENGLISH,
    "chinese": CHINESE,
    "mixed": MIXED,
    "outline": OUTLINE,
    "code": CODE,
    "one word": "dougong",
    "one character": "斗",
    "lines": "".join(f"{number}. item {number}, 第{number}项\n" for number in range(1, 60)),
    "repeats": "The same line again. " * 40 + "\n\n" + "同一句话。" * 40,
    "edges": "\n\n  \t words at the edges \u3000\n\n",
    "traditional": "斗拱是中國傳統建築的結構。榫卯連接，不用鐵釘。\n"
    "日本語の文章も混ぜます。カタカナとひらがな。\n한국어 문장도 있습니다.",
}
"""By name. None is longer than 2,000 characters."""

HOSTILE: dict[str, str] = {
    "empty": "",
    "spaces": " \t\n \u3000\u00a0\n\r\n ",
    "graphemes": "".join(CLUSTERS) * 4,
    "graphemes and words": " ".join(f"word {cluster} 字{cluster}" for cluster in CLUSTERS),
    "one long grapheme": "a" + "\u0301\u0323" * 60 + " then b",
    "marks without a base": "\u0301\u0301 x\u0301 \u200d\ufe0f",
    "right to left": "שלום עולם. مرحبا بالعالم! \u202eabc\u202c اللُّغَة العَرَبِيَّة",
    "line ends": "one\r\ntwo\rthree\nfour\u2028five\u2029six\u0085seven\x0b\x0ceight",
    "controls": "a\0b\x00\x01\x1b[31mred\x7f\ufffd\ufeffend\u200b\u00ad",
    "no space": "x" * 3_000 + "字" * 3_000,
    "only punctuation": "?!…。，、；：“”‘’（）《》—-–_*#@$%^&+=|\\/<>~`.,;:'\"[]{}",
    "prepended": "\u0600 12 \u06dd\u0661 \u070f x \u0600\r\n\u06dd\u3000end \u0600",
    "astral": "𠮷野家 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🀄 𐍈",
    "thai": "ภาษาไทยเขียนติดกันไม่เว้นวรรค",
    "numbers": "3.14159 1,000,000 2024-01-31 ¥5.20 ½ Ⅷ ٣٤٥ 一百二十三",
    "markup": "<script>alert(1)</script> ```` **a* _b [c](d \\ | --- | &amp; {{x}} ${y} %s",
}
"""By name. A document's text holds no lone surrogate; what reads queries or files must also bear `SURROGATE`."""

SURROGATE = "lone \ud800 surrogate"

CORPUS: tuple[str, ...] = (
    "Dougong brackets join columns and beams of a timber hall without nails.",
    "The Yingzao Fashi, a manual of building standards, was printed in 1103.",
    "A transformer layer has self-attention and a feed-forward network.",
    "Low-rank adaptation freezes the weights and trains two small matrices.",
    "Reciprocal rank fusion adds one over sixty plus the rank of each list.",
    "Paged attention keeps the cache in blocks that sequences may share.",
    "The pagoda of Fogong Temple in Ying county is sixty-seven metres high.",
    "斗拱连接木构大殿的柱与梁，不用钉子。",
    "营造法式是一部建筑标准，刊行于1103年。",
    "变换器的一层由自注意力和前馈网络组成。",
    "低秩适配冻结原有权重，只训练两个小矩阵。",
    "倒数排名融合把各列表中名次加六十的倒数相加。",
    "应县木塔高六十七米，是现存最高的木塔。",
    "检索增强生成 retrieval-augmented generation 先检索文档再回答问题。",
)
"""Passages that have little to do with one another but for the same thing said in both languages."""


def cuts_grapheme(text: str, at: int) -> bool:
    """Whether a boundary at `at` falls inside a character as a reader sees it. Knows the rules of Unicode Standard
    Annex 29 that need no tables (marks, joiners, CR LF) and the `CLUSTERS`; a library knows the rest."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return True
    if (
        unicodedata.category(before) in ("Cc", "Zl", "Zp")
        or before in "\u200b\ufeff\u00ad\u202a\u202b\u202c\u202d\u202e"
    ):
        return False
    if unicodedata.category(after) in ("Mn", "Me") or after in "\u200c\u200d":
        return True
    if before in _PREPENDED and unicodedata.category(after) not in ("Cc", "Zl", "Zp"):
        return True
    near = _CLUSTER.finditer(text, max(0, at - 400), at + 16) if not after.isascii() or not before.isascii() else ()
    return any(match.start() < at < match.end() and _starts(text, match.start()) for match in near)


def _starts(text: str, at: int) -> bool:
    """Whether a cluster found at `at` is not the tail of a longer run (of flags, say)."""
    return not (at and "\U0001f1e6" <= text[at - 1] <= "\U0001f1ff") or _flags_before(text, at) % 2 == 0


def _flags_before(text: str, at: int) -> int:
    first = at
    while first and "\U0001f1e6" <= text[first - 1] <= "\U0001f1ff":
        first -= 1
    return at - first


# ---------------------------------------------------------------- documents


def outlined(id: str, *parts: tuple[Any, ...], gap: str = "\n\n") -> Document:
    """A document with a tree, out of its parts, `gap` between them.

    A part is ``(kind, text)``, ``("heading", text, level)``, or ``(kind, [part, ...])`` for one with lines of its own.
    """
    text = ""

    def place(part: tuple[Any, ...]) -> Section:
        nonlocal text
        kind, content, *level = part
        start, children = len(text), []
        if isinstance(content, str):
            text += content
        else:
            for number, inner in enumerate(content):
                text += "\n" if number else ""
                children.append(place(inner))
        title = content.lstrip("# ").strip() if kind == "heading" else ""
        return Section(kind, Span(start, len(text)), level[0] if level else 0, title, tuple(children))

    sections = []
    for number, part in enumerate(parts):
        text += gap if number else ""
        sections.append(place(part))
    tree = Section("document", Span(0, len(text)), children=tuple(sections))
    return Document(id, text, tree, id, {"lang": "en"})


def documents() -> list[Document]:
    """The ordinary texts, the hostile ones, and documents with trees: nested, unordered levels, empty titles."""
    plain = [Document(f"{name}.txt", text, None, f"{name}.txt") for name, text in {**ORDINARY, **HOSTILE}.items()]
    return [*plain, *TREES]


TREES: tuple[Document, ...] = (
    outlined(
        "guide.md",
        ("paragraph", "Before any heading. 标题之前的一段。"),
        ("heading", "# Timber 木构", 1),
        ("paragraph", ENGLISH.partition("\n\n")[0]),
        ("heading", "### Deep 深", 3),
        ("paragraph", CHINESE.partition("\n\n")[0]),
        ("heading", "## Parts", 2),
        ("list", [("item", f"- arm {number} 拱") for number in range(12)], 1),
        ("heading", "## 尺寸", 2),
        ("table", [("row", [("cell", f"| {number} | 材 {number * 3} |")]) for number in range(20)]),
        ("heading", "# Code", 1),
        ("code", CODE),
        ("quote", [("paragraph", "> To build, 凡构屋之制。"), ("paragraph", "> Take the module.")]),
    ),
    outlined("headings.md", ("heading", "# A", 1), ("heading", "## ", 2), ("paragraph", "x"), ("heading", "# B 尾", 1)),
    outlined("one.md", ("heading", "# Only 仅有", 1), gap="\r\n"),
    outlined("long.md", *(
        part
        for number in range(8)
        for part in (
            ("heading", f"{'#' * (1 + number % 3)} Chapter {number} 章", 1 + number % 3),
            ("paragraph", (ENGLISH if number % 2 else CHINESE).replace("\n\n", " ")),
            ("paragraph", f"短 {number}."),
        )
    )),
    outlined("whole.md", ("paragraph", "👨‍👩‍👧‍👦" * 30), ("paragraph", "e\u0301" * 50)),
    Document("bare.md", "a tree without branches 无枝", Section("document", Span(0, 26)), "bare.md"),
    Document("none.md", "", Section("document", Span(0, 0)), "none.md"),
)  # fmt: skip


def without_trees(documents: Iterable[Document]) -> list[Document]:
    """The same texts as if their loader told no structure."""
    return [attrs.evolve(document, tree=None) for document in documents]


# ---------------------------------------------------------------- chunks


def chunks(texts: Sequence[str] = CORPUS) -> list[Chunk]:
    """One chunk a text, each a document of its own; ``meta``: ``source lang page tags``, as filters see them."""
    made = []
    for number, text in enumerate(texts):
        id, span = f"doc-{number:02d}", Span(0, len(text))
        lang = "en" if text.isascii() else "zh"
        meta = {"source": f"{id}.txt", "lang": lang, "page": number, "tags": [lang, f"t{number % 3}"]}
        made.append(Chunk(Chunk.name(id, span), id, text, span, meta=meta))
    return made


# ---------------------------------------------------------------- at random


def random_texts(surrogates: bool = False) -> SearchStrategy[str]:
    """A hypothesis strategy of texts: words of several scripts, marks, white space, clusters, and any code points."""
    from hypothesis import strategies as st

    words = ("the", "Dougong", "斗拱", "木构的建筑", "don't", "3.5", "a", "x_y", "。", ". ", "! ", "？", "\n", "\n\n",
             "\r\n",             "  ", "\t", "\u3000", "# ", "| ", "กา", "한국", "カタ", *CLUSTERS)  # fmt: skip
    mixed = st.lists(st.sampled_from(words), max_size=60).map("".join)
    anything = st.text(st.characters(exclude_categories=[] if surrogates else ["Cs"]), max_size=80)
    return mixed | anything | st.tuples(mixed, anything, mixed).map("".join)


def random_trees() -> SearchStrategy[Document]:
    """A hypothesis strategy of documents with trees."""
    from hypothesis import strategies as st

    text = random_texts().filter(bool)
    heading = st.tuples(st.just("heading"), text, st.integers(1, 6))
    leaf = st.tuples(st.sampled_from(["paragraph", "code", "quote", "of no known kind"]), text)
    branch = st.tuples(
        st.sampled_from(["list", "table"]),
        st.lists(st.tuples(st.sampled_from(["item", "row"]), text), min_size=1, max_size=6),
    )
    parts = st.lists(heading | leaf | branch, max_size=10)
    return st.builds(
        lambda parts, gap: outlined("random.md", *parts, gap=gap), parts, st.sampled_from(["\n\n", "", "\n"])
    )


def examples(number: int) -> settings:
    """Hypothesis settings of `number` examples and no deadline; the rest as the profile in force says."""
    from hypothesis import HealthCheck, settings

    return settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
