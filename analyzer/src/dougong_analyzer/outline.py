"""Where a stretch of a document stands: heading path, section, line, page. What chunkers share."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dougong import Document


class Outline:
    """The headings and pages of a document, for looking up stretches of it in ascending order of their start.

    Attributes:
        headings: offsets of the headings, ascending; `levels` are theirs, 1 to 6.
    """

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self.headings: list[int] = []
        self.levels: list[int] = []
        self._titles: list[str] = []
        self._ends: list[int] = []
        self._above: list[tuple[int, ...]] = []  # numbers of the headings that a heading is under, and its own
        self._pages: list[int] = []
        self._page_numbers: list[Any] = []
        self._lined = True
        self._meta = {key: value for key, value in document.meta.items() if _plain(value)}
        self._meta["source"] = document.source
        self._line, self._counted = 1, 0
        for node in document.tree.walk() if document.tree else ():
            if node.kind == "heading":
                self._add(node.span.start, node.level, node.title)
            if node.kind == "page":
                self._page(node.span.start, node.meta.get("page", len(self._pages) + 1))
            elif "page" in node.meta and not node.children:
                self._page(node.span.start, node.meta["page"])
                for part in node.meta.get("continues", ()):
                    self._page(part["at"], part["page"])
            self._lined = self._lined and "box" not in node.meta  # what has a place on a page has no line in the source

    def _add(self, start: int, level: int, title: str) -> None:
        above = self._above[-1] if self._above else ()
        while above and self.levels[above[-1]] >= level:
            self._ends[above[-1]] = start
            above = above[:-1]
        self._above.append((*above, len(self.headings)))
        self.headings.append(start)
        self.levels.append(level)
        self._titles.append(title)
        self._ends.append(len(self._text))

    def _page(self, start: int, number: Any) -> None:
        if not self._page_numbers or number != self._page_numbers[-1]:
            self._pages.append(start)
            self._page_numbers.append(number)

    def path(self, start: int, end: int) -> tuple[tuple[str, ...], tuple[int, int] | None]:
        """Titles of the headings that all of ``[start, end)`` is under, outermost first; the innermost one's section.

        A heading at the very start of the stretch counts. The section is ``(start, end)`` from the heading to the next
        one of its level or above; None where no heading holds the whole stretch.
        """
        if not self.headings:
            return (), None
        first = bisect_right(self.headings, start) - 1
        last = bisect_right(self.headings, max(start, end - 1)) - 1
        if first < 0:
            return (), None
        shared = [a for a, b in zip(self._above[first], self._above[last]) if a == b]
        if not shared:
            return (), None
        return tuple(self._titles[number] for number in shared), (self.headings[shared[-1]], self._ends[shared[-1]])

    def meta(self, start: int, end: int | None = None) -> dict[str, Any]:
        """Metadata of a stretch from `start` to `end`: the document's plain values, ``source``, ``line``, ``page``.

        ``line`` is 0 where the source has pages and no lines. Where `end` is given and other pages begin before it,
        ``page_breaks`` lists them: ``[offset in the document, page]`` of each.
        """
        if start < self._counted:
            self._line, self._counted = 1, 0
        self._line += self._text.count("\n", self._counted, start)
        self._counted = start
        meta = {**self._meta, "line": self._line if self._lined else 0}
        if self._pages and start >= self._pages[0]:
            first = bisect_right(self._pages, start)
            meta["page"] = self._page_numbers[first - 1]
            if end is not None and (last := bisect_left(self._pages, end)) > first:
                meta["page_breaks"] = [
                    list(pair) for pair in zip(self._pages[first:last], self._page_numbers[first:last])
                ]
        return meta


def _plain(value: object) -> bool:
    """Whether a filter can compare it: a scalar, or a list of them."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(item, (str, int, float, bool)) for item in value)
    return isinstance(value, (str, int, float, bool))
