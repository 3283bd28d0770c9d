"""Which blocks are headings, and of which level: by outline, printed contents and type."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from dougong_loader_pdf.blocks import Block, Measures
from dougong_loader_pdf.lines import is_cjk
from dougong_loader_pdf.reader import Bookmark

_END = set(".。!！;；,，:：、")
_NUMBERED = re.compile(
    r"第[\d一二三四五六七八九十百]+[章节条部编篇]|\d+(?:\.\d+)+\s|[一二三四五六七八九十]{1,3}、|[(（][一二三四五六七八九十]{1,3}[)）]"
)


def mark(
    found: Sequence[Block], bookmarks: Sequence[Bookmark], usual: Measures, text: Callable[[Block], str]
) -> Block | None:
    """Make headings of the blocks that are: kind ``heading``, level 1 to 6. The title is level 1, its chapters 2.

    A block is a heading if the outline names it, or else the printed contents, or if its type stands out and it is
    short. Levels are those of the outline; of others, by type: a larger type stands above a smaller one. Returns the
    title.
    """
    named = _named(found, bookmarks, text)
    heads = [block for block in found if id(block) in named or _stands_out(block, usual, text(block))]
    for block in heads:
        block.kind = "heading"
    if not heads:
        return None
    title = _title(heads, named)
    styles = _styles([block for block in heads if block is not title])
    above = 1 if title is not None else 0
    known: dict[float, Counter[int]] = defaultdict(Counter)
    for block in heads:
        if id(block) in named and block is not title:
            known[_style(block, styles)][named[id(block)]] += 1
    least = min((level for counts in known.values() for level in counts), default=1)
    levels: dict[float, int] = {}
    deepest = 0
    for style in styles:  # from the most to the least prominent
        if style in known:
            levels[style] = known[style].most_common(1)[0][0] - least + 1
        else:
            levels[style] = deepest + 1
        deepest = max(deepest, levels[style])
    for block in heads:
        style = _style(block, styles)
        own = named[id(block)] - least + 1 if id(block) in named else levels.get(style, 1)
        block.level = 1 if block is title else min(6, max(1, own + above))
    return title


def _named(found: Sequence[Block], bookmarks: Sequence[Bookmark], text: Callable[[Block], str]) -> dict[int, int]:
    """Levels of the blocks that the outline names, or else the printed contents."""
    entries = [(bookmark.title, bookmark.level, bookmark.page) for bookmark in bookmarks] or _printed(found)
    places: dict[str, list[Block]] = defaultdict(list)
    for block in found:
        if block.kind in ("paragraph", "item", "caption") and len(block.lines) < 6:
            places[_key(text(block))].append(block)
    levels: dict[int, int] = {}
    for title, level, page in entries:
        near = [block for block in places[_key(title)] if id(block) not in levels and (not page or block.page == page)]
        if near:
            levels[id(near[0])] = level
    return levels


def _printed(found: Sequence[Block]) -> list[tuple[str, int, int]]:
    """Entries of the printed contents, their levels by number (``1.3.1`` is the third), else by indent."""
    entries = [entry for block in found if block.kind == "contents" for entry in block.entries]
    indents: list[float] = []
    for indent in sorted(entry[2] for entry in entries):
        if not indents or indent - indents[-1] > 3:
            indents.append(indent)
    levels = []
    for title, _, indent in entries:
        number = re.match(r"\d+(?:\.\d+)*\.?(?!\d)", title)
        level = len(re.findall(r"\d+", number[0])) if number else sum(x <= indent + 1.5 for x in indents)
        levels.append((title, min(6, level), 0))
    return levels


def _key(text: str) -> str:
    """A title as it compares: letters and figures only."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).lower())


def _stands_out(block: Block, usual: Measures, text: str) -> bool:
    """Whether a block looks like a heading: short, and larger, bolder or, where it is numbered, in another font."""
    if block.kind not in ("paragraph", "item") or len(block.lines) > 3 or block.note:
        return False
    length = sum(2 if is_cjk(character) else 1 for character in text)
    if length > 160 or not re.search(r"[^\W\d_]", text) or text[-1] in _END:
        return False
    if block.size >= 1.06 * usual.body:
        return True
    if block.size < 0.93 * usual.body:
        return False
    other = block.lines[0].font != usual.font and bool(_NUMBERED.match(text)) and length < 80
    return (block.bold and not usual.bold) or other


def _title(heads: Sequence[Block], named: dict[int, int]) -> Block | None:
    """The title of the document: alone in the largest type, on the first page with a heading, before all others."""
    first = [block for block in heads if block.page == heads[0].page]
    best = max(first, key=lambda block: block.size)
    others = [block.size for block in heads if block is not best]
    if others and best.size > 1.06 * max(others):
        return best
    return best if not others and id(best) not in named and best.page == 1 else None


def _styles(heads: Sequence[Block]) -> list[float]:
    """Type sizes of headings from the largest to the smallest; those that hardly differ are one."""
    sizes: list[float] = []
    for size in sorted((block.size for block in heads), reverse=True):
        if not sizes or size < 0.96 * sizes[-1]:
            sizes.append(size)
    return sizes


def _style(block: Block, sizes: Sequence[float]) -> float:
    return next((size for size in sizes if 0.96 * size <= block.size <= size), block.size)
