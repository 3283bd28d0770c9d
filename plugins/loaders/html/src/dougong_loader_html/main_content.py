"""Which parts of a page are not its content: navigation, banners, advertisements, lists of links."""

from __future__ import annotations

import re

import attrs
from selectolax.lexbor import LexborNode

from dougong_loader_html.blocks import hidden
from dougong_loader_html.elements import UNSEEN, words

# WAI-ARIA landmarks and widgets that are not the text of a page.
_ROLES = words("navigation banner contentinfo search complementary menu menubar toolbar dialog alertdialog tooltip")
_ASIDE = re.compile(r"note|tip|warn|caution|danger|callout|admonition|hint|info|important", re.I)
# Words of class and id that sites use for what surrounds the text, and those that they use for text now and then.
_AROUND = re.compile(
    r"(?<![a-z])(?:navi?|navbar|navigation|navbox|menu|submenu|breadcrumbs?|side-?bars?|(?:left|right)bar|footer|masthead|"
    r"topbar|skip(?:-?link)?|cookies?|consent|gdpr|onetrust|cmp|banner|popup|modal|newsletter|subscribe|subscription|"
    r"signup|login|share|sharing|sharedaddy|social(?:s|-?media)?|addthis|addtoany|related[a-z]*|recommend(?:ed|ations?)|"
    r"recirc|teilen|feedback|upnext|more-?(?:posts|articles|stories|news)|pagination|pager|pagenavi|prev-?next|"
    r"advert(?:s|isement|ising)?|sponsor(?:ed)?|promo|outbrain|taboola|comments|respond|disqus|tags|tagged|tagcloud|"
    r"tag-?(?:list|links)|post-?meta|entry-?(?:utility|meta)|edit-?section|noprint|printfooter|catlinks|linenos?|gutter|"
    r"author-?(?:box|bio|info)|contact-?box|trending|most-?read|popular|blogroll|screen-reader-text|visually-hidden|"
    r"sr-only)(?![a-z])"
)
_PERHAPS = re.compile(
    r"(?<![a-z])(?:widgets?|toc|overlay|paywall|teasers?|also|feeds?|read-?(?:more|next)|ads?|comment)(?![a-z])"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LINKED = words("div ul ol dl table section p td span article center form")
_PROSE = 20  # characters of a stretch without links that count as running text
_SHARE = 0.8  # of the prose: an element with so much of it holds the content
_MINIMUM = 0.25  # of the text that has to remain, else nothing was content more than the rest


@attrs.define
class _Size:
    """Characters below an element, those of them in links, and those of prose: in long stretches without links."""

    text: int = 0
    linked: int = 0
    links: int = 0
    prose: int = 0


def content(body: LexborNode) -> tuple[list[LexborNode], set[int]]:
    """The elements of a page that hold its main content, in order, and the ids of those in them that do not belong.

    What the page marks as ``main`` or ``article`` is believed. Landmarks, what class or id name as surroundings, and
    blocks that are mostly links are left out, but where next to nothing would remain: then the page is all of it.
    """
    sizes = _sizes(body)
    roots = _roots(body, sizes)
    trusted = body not in roots
    skipped = _around(roots, sizes, trusted)
    kept = sum(sizes[root.mem_id].text for root in roots) - sum(sizes[id].text for id in skipped)
    if kept < _MINIMUM * sizes[body.mem_id].text and kept < 200:
        return [body], set()
    return roots, skipped


def _sizes(body: LexborNode) -> dict[int, _Size]:
    """Size of each element that is shown."""
    sizes: dict[int, _Size] = {}
    stack: list[tuple[LexborNode, bool]] = [(body, False)]
    path: list[_Size] = []
    inside = 0  # links that are open
    while stack:
        node, leaving = stack.pop()
        if leaving:
            size = path.pop()
            if node.tag == "a":
                inside -= 1
                size.links += 1
            if path:
                path[-1].text += size.text
                path[-1].linked += size.linked
                path[-1].links += size.links
                path[-1].prose += size.prose
        elif node.is_text_node:
            count = len("".join((node.text_content or "").split()))
            path[-1].text += count
            path[-1].linked += count if inside else 0
            path[-1].prose += count if count >= _PROSE and not inside else 0
        elif node.is_element_node and node.tag not in UNSEEN and not hidden(node.tag or "", node.attributes):
            path.append(_Size())
            sizes[node.mem_id] = path[-1]
            inside += node.tag == "a"
            stack.append((node, True))
            child = node.last_child
            while child is not None:
                stack.append((child, False))
                child = child.prev
    return sizes


def _outermost(body: LexborNode, selector: str, sizes: dict[int, _Size]) -> list[LexborNode]:
    """The shown elements that match, but for those inside one another."""
    found: list[LexborNode] = []
    ids: set[int] = set()
    for node in body.css(selector):
        above = node.parent
        while above is not None and above.mem_id not in ids:
            above = above.parent
        if above is None and node.mem_id in sizes:
            found.append(node)
            ids.add(node.mem_id)
    return found


def _roots(body: LexborNode, sizes: dict[int, _Size]) -> list[LexborNode]:
    """What the page marks as its content; the whole body if nothing is, or too little."""
    whole = sizes[body.mem_id].text
    for selector in ("main, [role=main]", "article:not([class*=comment]), [itemprop=articleBody]"):
        found = _outermost(body, selector, sizes)
        total = sum(sizes[node.mem_id].text for node in found)
        if total >= min(_MINIMUM * whole, 1000):
            return found
    return [_densest(body, sizes)]


def _densest(root: LexborNode, sizes: dict[int, _Size]) -> LexborNode:
    """The innermost element that holds nearly all the prose of `root`."""
    while True:
        enough = _SHARE * sizes[root.mem_id].prose
        for child in root.iter():
            size = sizes.get(child.mem_id)
            if (
                size
                and size.prose >= enough > 0
                and child.tag not in ("p", "table", "ul", "ol", "tbody", "tr", "span", "pre")
            ):
                root = child
                break
        else:
            return root


def _around(roots: list[LexborNode], sizes: dict[int, _Size], trusted: bool) -> set[int]:
    """Ids of the elements below `roots` that are not content."""
    skipped: set[int] = set()
    whole = sum(sizes[root.mem_id].text for root in roots)
    stack = [child for root in roots for child in root.iter()]
    while stack:
        node = stack.pop()
        size = sizes.get(node.mem_id)
        if size is None:
            continue
        if _is_around(node, size, whole, trusted) or _is_links(node, size, 0.8 if trusted else 0.6):
            skipped.add(node.mem_id)
        else:
            stack.extend(node.iter())
    return skipped


def _is_around(node: LexborNode, size: _Size, whole: int, trusted: bool) -> bool:
    """Whether tag, role, class or id say that an element stands around the content."""
    tag, attributes = node.tag, node.attributes
    if tag in ("nav", "button", "form") or attributes.get("role") in _ROLES:
        return size.text < 0.5 * whole
    named = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    if tag == "aside":
        return not _ASIDE.search(named)
    if tag in ("header", "footer"):
        return tag == "footer" or not (trusted or node.css_first("h1"))
    if size.text >= 0.3 * whole or tag in ("h1", "h2"):
        return False
    named = _CAMEL.sub("-", named).lower()
    return bool(_AROUND.search(named) or (size.prose < 0.5 * size.text and _PERHAPS.search(named)))


def _is_links(node: LexborNode, size: _Size, share: float) -> bool:
    """Whether a block is a list of links rather than text with links."""
    return node.tag in _LINKED and size.links >= 3 and size.linked > share * size.text
