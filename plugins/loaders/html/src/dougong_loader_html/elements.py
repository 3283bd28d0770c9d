"""What single elements of a page say: code and its language, formulas, numbers of lists."""

from __future__ import annotations

import re

from selectolax.lexbor import LexborNode


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# Not shown, or not text. What a button or a field says is no part of the text.
UNSEEN = words(
    "script style template noscript head title meta link iframe object svg canvas audio video datalist select "
    "textarea input button progress meter map frameset"
)
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight(?:-source)?|brush:?|sourceCode)[-\s]\s*([\w+#.-]+)", re.IGNORECASE
)
_VALUES = (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1)
_ROMANS = ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i")


def plain(node: LexborNode) -> str:
    """All text of an element as it stands, line ends where the page has them."""
    pieces, stack = [], [node]
    while stack:
        part = stack.pop()
        if part.is_text_node:
            pieces.append(part.text_content or "")
        elif part.tag == "br":
            pieces.append("\n")
        elif part.is_element_node and part.tag not in UNSEEN:
            child = part.last_child
            while child is not None:
                stack.append(child)
                child = child.prev
    return "".join(pieces)


def language(node: LexborNode) -> str:
    """The language of a block of code, from the classes of its element, the ``code`` in it, or the ones around it."""
    places = [node, node.css_first("code"), node.parent, node.parent.parent if node.parent else None]
    for place in places:
        if place is not None and (match := _LANGUAGE.search(place.attributes.get("class") or "")):
            return match[1].rstrip(";").lower()
    return ""


def tex(node: LexborNode) -> str:
    """The source of a formula: its TeX where the page has it, else its symbols."""
    source = node.css_first('annotation[encoding="application/x-tex"]')
    return (source.text() if source else "") or node.attributes.get("alttext") or " ".join(node.text().split())


def integer(value: str | None, otherwise: int) -> int:
    """A number as pages have them: digits at the start, in the range of 32 bits."""
    match = re.match(r"\s*[+-]?\d{1,9}", value or "", re.ASCII)
    return int(match[0]) if match else otherwise


def numeral(number: int, style: str) -> str:
    """The marker of an ordered list's item, of the styles ``1 a A i I``."""
    text = str(number)
    if style in ("a", "A") and number > 0:
        text = ""
        while number > 0:
            number, digit = divmod(number - 1, 26)
            text = chr(97 + digit) + text
    elif style in ("i", "I") and 0 < number < 4000:
        text = ""
        for value, roman in zip(_VALUES, _ROMANS):
            text += roman * (number // value)
            number %= value
    return text.upper() if style in ("A", "I") else text
