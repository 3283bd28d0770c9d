"""Office mathematics (OMML, ECMA-376 part 1, 22.1) as TeX."""

from __future__ import annotations

from lxml import etree

_NARY = {"∑": r"\sum", "∫": r"\int", "∏": r"\prod", "∬": r"\iint", "∮": r"\oint", "⋃": r"\bigcup", "⋂": r"\bigcap"}
_ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot", "\u0308": "ddot"}
_ACCENTS |= {"\u20d7": "vec", "\u030c": "check"}


def tex(element: etree._Element) -> str:
    """TeX of an element and what is in it. Symbols stay the characters that they are."""
    name = element.tag.rpartition("}")[2]
    if name in ("t", "delText"):
        return "" if name == "delText" else element.text or ""
    if name.endswith("Pr") or name in ("del", "moveFrom", "instrText"):
        return ""
    parts = {child.tag.rpartition("}")[2]: child for child in element}

    def part(key: str) -> str:
        return tex(parts[key]).strip() if key in parts else ""

    def said(key: str, otherwise: str) -> str:
        """A character in the properties; an empty one is no character."""
        properties = parts.get(name + "Pr")
        found = [c for c in properties if c.tag.rpartition("}")[2] == key] if properties is not None else []
        return next((v for k, v in found[0].attrib.items() if k.endswith("val")), "") if found else otherwise

    match name:
        case "f":
            return rf"\frac{{{part('num')}}}{{{part('den')}}}"
        case "sSup":
            return f"{_group(part('e'))}^{{{part('sup')}}}"
        case "sSub":
            return f"{_group(part('e'))}_{{{part('sub')}}}"
        case "sSubSup":
            return f"{_group(part('e'))}_{{{part('sub')}}}^{{{part('sup')}}}"
        case "sPre":
            return f"{{}}_{{{part('sub')}}}^{{{part('sup')}}}{_group(part('e'))}"
        case "rad":
            degree = part("deg")
            return rf"\sqrt{f'[{degree}]' if degree else ''}{{{part('e')}}}"
        case "nary":
            sign = said("chr", "∫")
            low, high = (f"{mark}{{{part(key)}}}" if part(key) else "" for mark, key in (("_", "sub"), ("^", "sup")))
            return f"{_NARY.get(sign, sign)}{low}{high} {part('e')}"
        case "d":
            inner = said("sepChr", "|").join(tex(child).strip() for child in element if child.tag.endswith("}e"))
            return f"{said('begChr', '(')}{inner}{said('endChr', ')')}"
        case "func":
            return f"{part('fName')} {part('e')}".strip()
        case "acc":
            return rf"\{_ACCENTS.get(said('chr', chr(0x302)), 'hat')}{{{part('e')}}}"
        case "bar":
            return rf"\{'overline' if said('pos', 'bot') == 'top' else 'underline'}{{{part('e')}}}"
        case "limLow":
            return f"{part('e')}_{{{part('lim')}}}"
        case "limUpp":
            return f"{part('e')}^{{{part('lim')}}}"
        case "m":
            rows = [row for row in element if row.tag.endswith("}mr")]
            cells = r" \\ ".join(" & ".join(tex(cell).strip() for cell in row) for row in rows)
            return rf"\begin{{matrix}} {cells} \end{{matrix}}"
        case "eqArr":
            return r" \\ ".join(tex(child).strip() for child in element if child.tag.endswith("}e"))
    return "".join(map(tex, element))


def _group(text: str) -> str:
    """What a script hangs on: in braces if it is more than a sign."""
    return text if len(text) == 1 else f"{{{text}}}"
