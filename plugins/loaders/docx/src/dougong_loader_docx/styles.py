"""What a paragraph is, from its style and the styles that one is based on."""

from __future__ import annotations

import re

import attrs
from lxml import etree

from dougong_loader_docx.package import W

# Word writes the names of its own styles in English whatever its language; other programs translate them.
_HEADING = re.compile(
    r"(?:heading|标题|標題|見出し|제목|überschrift|titre|título|titulo|titolo|заголовок|kop|rubrik|nagłówek)\s*([1-9])$"
)
_TOC = re.compile(r"(?:toc|目录|目錄|verzeichnis)\s*\d$|table of (?:figures|authorities)$")
_NAMED = (
    ("title", re.compile(r"(?:title|标题|標題|titel)$")),
    ("caption", re.compile(r"(?:caption|题注|題注|標號|beschriftung|légende)$")),
    ("quote", re.compile(r"(?:intense |block )?quot(?:e|ation)s?$|明显引用|引用$|引文$")),
    (
        "code",
        re.compile(r"(?:source |program |sample )?code(?: block| text| sample| snippet| listing)?$|listing$|.*代码$"),
    ),
    ("code", re.compile(r"(?:html )?preformatted|macro text|plain text|.*程式碼$")),
)


@attrs.frozen
class Look:
    """What a style says of its paragraphs.

    Attributes:
        kind: ``heading title caption quote code contents``; empty for running text.
        level: of a heading, from 1 to 9.
        num, depth: the list and the level in it; an empty `num` is none.
    """

    kind: str = ""
    level: int = 0
    num: str = ""
    depth: int = 0


class Styles:
    """The paragraph styles of a document, by id."""

    def __init__(self, root: etree._Element | None) -> None:
        self._styles: dict[str, etree._Element] = {}
        self._looks: dict[str, Look] = {}
        self._default = ""
        for style in root.iterfind(W + "style") if root is not None else ():
            if style.get(W + "type", "paragraph") == "paragraph":
                self._styles[style.get(W + "styleId", "")] = style
                if style.get(W + "default") in ("1", "true", "on"):
                    self._default = style.get(W + "styleId", "")

    def look(self, name: str) -> Look:
        """The look of a style: the first thing that it or a style below it says."""
        name = name or self._default
        if name not in self._looks:
            self._looks[name] = self._resolve(name)
        return self._looks[name]

    def _resolve(self, name: str) -> Look:
        kind, level, num, depth = "", 0, "", None
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            style = self._styles.get(name)
            title = (value(style, "name") or name).lower().strip() if style is not None else name.lower()
            if not kind:
                kind, level = self._kind(title, style)
            if style is None:
                break
            properties = style.find(f"{W}pPr/{W}numPr")
            if properties is not None:
                num = num or value(properties, "numId")
                depth = _integer(value(properties, "ilvl")) if depth is None and value(properties, "ilvl") else depth
            name = value(style, "basedOn")
        if kind == "heading" and num and depth is None:
            depth = level - 1
        return Look(kind, level, num, depth or 0)

    def _kind(self, title: str, style: etree._Element | None) -> tuple[str, int]:
        if match := _HEADING.match(title):
            return "heading", int(match[1])
        if _TOC.match(title):
            return "contents", 0
        outline = style.find(f"{W}pPr/{W}outlineLvl") if style is not None else None
        if outline is not None and 0 <= (level := _integer(outline.get(W + "val"), 9)) < 9:
            return "heading", level + 1
        return next(((kind, 0) for kind, pattern in _NAMED if pattern.match(title)), ("", 0))

    def of(self, properties: etree._Element | None) -> Look:
        """The look of a paragraph, what it says itself first."""
        look = self.look(value(properties, "pStyle"))
        if properties is None:
            return look
        outline = properties.find(W + "outlineLvl")
        if outline is not None and look.kind in ("", "heading"):
            level = _integer(outline.get(W + "val"), 9)
            look = attrs.evolve(look, kind="heading" if level < 9 else "", level=level + 1)
        own = properties.find(W + "numPr")
        if own is not None:
            num, depth = value(own, "numId"), value(own, "ilvl")
            look = attrs.evolve(look, num=num or look.num, depth=_integer(depth) if depth else look.depth)
        return attrs.evolve(look, num="") if look.num == "0" else look


def value(element: etree._Element | None, name: str) -> str:
    """``w:val`` of a child; empty if there is none."""
    child = None if element is None else element.find(W + name)
    return "" if child is None else child.get(W + "val", "")


def _integer(text: str | None, otherwise: int = 0) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,9}", text) else otherwise
