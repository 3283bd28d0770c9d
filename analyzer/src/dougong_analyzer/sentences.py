"""Sentences of English, Chinese and mixed text, by rules, as exact offsets.

Every rule looks at a few characters around a mark, never at the sentence as a whole. So a stretch of a text can be
searched alone (`sentence_ends`), and time is linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A mark or a line break; after a mark the marks, quotes and brackets that go with it; then white space. One class in
# front keeps the search in the fast loop of `re`.
_MARKS = ".!?。！？；…‥｡．؟۔।॥"
_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
_CLOSERS = "\"'”’」』）)】〉》〕］｝\\]}»›＂＇"
_MARK = re.compile(rf"[{_MARKS}{_BREAKS}](?:(?<=[{_MARKS}])[{_MARKS}]*([{_CLOSERS}]*))?(\s*)")
_ALWAYS = frozenset("。！？；｡؟۔।॥")  # these mean nothing else
_BLANK = re.compile(r"(?>\r\n|[\n\r\x0b\x0c\x85\u2028])[^\S\n\r]*[\n\r\x0b\x0c\x85\u2028]|[\x0c\u2029]")
_CHINESE = re.compile(r"[\u2e80-\u31ef\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff“‘—…]")
_WORD = re.compile(r"[^\W\d_]+")
_ACRONYM = re.compile(r"[^\W\d_](?:\.[^\W\d_])+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPENERS = "\"'“‘(（[{«「『"

# Never the last word of a sentence when something follows.
_TITLES = _set(
    "mr mrs ms mx messrs dr prof st mt ft gen col capt cmdr cpl lt maj sgt adm rev hon gov sen rep pres fr msgr "
    "mme mlle vs v cf viz e.g i.e eg ie esp approx ca resp incl excl dept dist assn univ est min max"
)
# Not the last word when a number follows.
_NUMBERED = _set(
    "no nos nr vol vols p pp par fig figs eq eqs sec sect ch chap art ref refs tab ver op ed jan feb mar apr jun "
    "jul aug sep sept oct nov dec"
)
# May end a sentence: then a word follows that begins one.
_PERHAPS = _set("etc al inc ltd co corp bros jr sr esq ph.d a.m p.m ave blvd rd sq bldg")
_STARTERS = _set(
    "a an the this that these those there here he she it they we you i his her its their our my your what when "
    "where why who how which if in on at for from with by as to of and but or so then after before during while "
    "although because since however moreover therefore thus meanwhile no not all some many most one each both "
    "another such once let do does did is was are were can could will would may might should"
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Offsets ``(start, end)`` of the sentences of `text`, in order, without gaps.

    White space after a sentence belongs to it (and white space at the very start to the first), so that
    ``"".join(text[a:b] for a, b in sentences(text)) == text``; strip a slice to quote it. A sentence ends

    - after ``。！？；…`` and their like, with the quotes and brackets that close there;
    - after ``.!?`` before white space or Chinese, unless an abbreviation, an initial, a list number or a lower-case
      word says that it goes on (``Mr. Smith``, ``the U.S. Navy``, ``1. Introduction``, ``"Why?" he asked``);
    - at a blank line, and at a line break unless the next line goes on in lower case (hard-wrapped English).

    Decimals, URLs and file names hold no white space after the dot and are never cut.
    """
    starts = [0, *sentence_ends(text)] if text else []
    return list(zip(starts, [*starts[1:], len(text)]))


def sentence_ends(text: str, start: int = 0, stop: int | None = None) -> Iterator[int]:
    """Offsets inside ``(start, stop)`` at which one sentence ends and the next begins, ascending, found as asked for.

    The text before `start` and after `stop` is looked at: these are those of the whole text's ends that lie there.
    """
    stop = len(text) if stop is None else min(stop, len(text))
    blank = True  # white space at the very start is no sentence
    for match in _MARK.finditer(text, start, stop):
        end = match.end()
        if end < stop and _ends(text, match, end):
            if text[end - 1] == '"':
                end -= _opens(text, end - 1)
            if not blank or text[start:end].strip():
                blank = False
                yield end


def last_sentence_end(text: str, start: int, stop: int) -> int:
    """The last of ``sentence_ends(text, start, stop)``; `start` if there is none."""
    stop = min(stop, len(text))
    for match in reversed([*_MARK.finditer(text, start, stop)]):
        end = match.end()
        if end < stop and _ends(text, match, end):
            if text[end - 1] == '"':
                end -= _opens(text, end - 1)
            return start if text[start].isspace() and text[start:end].isspace() else end
    return start


def _ends(text: str, match: re.Match[str], end: int) -> bool:
    """Whether the mark or line break that `match` found ends a sentence; the text goes on at `end`."""
    start = match.start()
    mark = text[start]
    if mark in _ALWAYS:
        return True
    after = text[end]
    space = match.start(2)
    if mark in _BREAKS:
        return not after.islower() or _BLANK.search(text, start, end) is not None
    if end > space + 1 and _BLANK.search(text, space, end):
        return True
    goes_on = after.islower() if end > space else _CHINESE.match(after) is None
    before = text[start - 1 : start]
    if space == start + 1:
        marks, closers = mark, ""
    else:
        closers = match[1]
        marks = text[start : space - len(closers)]
        if not _ALWAYS.isdisjoint(marks):
            return True
    if marks == ".":
        if goes_on or after == ".":  # . . . leaves words out
            return False
        if end == space:  # Chinese follows at once: 他走了.我也走了 but not 1.概述
            return bool(closers) or before.isalpha()
        return before.isspace() or not _abbreviation(text, start, end)
    if marks == "．":
        return not after.isdigit()
    if marks[:2] == ".." and before == "[":  # [...]
        return False
    return not goes_on or (not closers and end > space and ("!" in marks or "?" in marks))


def _opens(text: str, quote: int) -> bool:
    """Whether a straight quote right after a mark opens: 他说。"你好" has no space to tell."""
    start = max(0, quote - 1000)
    return text.count('"', max(start, text.rfind("\n", start, quote)), quote) % 2 == 0


def _abbreviation(text: str, dot: int, after: int) -> bool:
    """Whether the word before the full stop at `dot` makes it likely that the sentence goes on at `after`."""
    context = text[max(0, dot - 24) : dot]
    word = context.rpartition(" ")[2]
    if word.isalpha() and word.islower() and len(word) > 6:  # as most are; no abbreviation is as long
        return False
    word = word.split()[-1].lstrip(_OPENERS) if word.strip() else ""
    lower = word.lower()
    if lower in _TITLES:
        return True
    if lower in _NUMBERED:
        return text[after].isdigit()
    if (word.isdigit() and len(word) <= 3) or (len(word) == 1 and word.isalpha()):
        head = context[: context.rfind(word)]
        if not head.rpartition("\n")[2].strip() and ("\n" in head or dot <= 24):  # a list's number at the line's start
            return True
        if word.isdigit():
            return False
    if lower in _PERHAPS or (len(word) == 1 and word.isupper() and word.isascii()) or _ACRONYM.fullmatch(word):
        following = _WORD.match(text, after)
        if following is None:  # a quote begins a sentence; a number or bracket goes on
            return text[after] not in "\"'“‘" and _CHINESE.match(text[after]) is None
        return following[0].lower() not in _STARTERS
    return False
