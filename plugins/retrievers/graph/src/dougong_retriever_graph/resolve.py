"""Names to entities: which spellings are one, which one spelling is several, and a log to take any of it back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import attrs
import regex
from dougong_analyzer import words

Pair = tuple[str, str]
Confirm = Callable[[Sequence[Pair]], Sequence[bool]]


@attrs.frozen
class Alias:
    """An entry of the alias log: `alias` is taken to be `name`; in `document` only, where one is named."""

    alias: str
    name: str
    reason: str
    document: str = ""


_HONORIFIC = regex.compile(r"^(?:mr|mrs|ms|miss|dr|sir|lady|lord|prof|professor|president|captain|old|st)\.?\s+")
# Words before a name that make it another one: New York is not York.
_APART = frozenset(
    {"new", "north", "south", "east", "west", "great", "old", "upper", "lower", "san", "santa", "st", "saint", "fort"}
    | {"port", "lake", "mount", "la", "el", "good", "merry", "long", "mrs.", "miss"}
)
_COMMON = 60  # names that share a word: beyond that, the word tells nothing


def edits(one: str, two: str, most: int) -> int:
    """Levenshtein distance; ``most + 1`` where it is greater than `most`."""
    if abs(len(one) - len(two)) > most:
        return most + 1
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        left, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (a != b))
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def alike(one: str, two: str, cosine: float = 0.0) -> bool:
    """Whether two names may be one: digits and titles (Mr., Mrs.) not unlike, and cosine >= .8, or edits <= half
    the shorter (spaced words), or shared characters >= .8 (Chinese).

    Source: RAGFlow, ``rag/graphrag/entity_resolution.py`` (`is_similarity`).
    """
    if regex.findall(r"\p{Nd}+|[一二三四五六七八九十]+(?=[年月日世])", one) != regex.findall(
        r"\p{Nd}+|[一二三四五六七八九十]+(?=[年月日世])", two
    ):
        return False
    titles = {match.group().strip(" .") for name in (one, two) if (match := _HONORIFIC.match(name))} - {"old"}
    if len(titles) > 1:  # Mr. and Mrs. Cratchit
        return False
    one, two = (_HONORIFIC.sub("", name) for name in (one, two))
    if cosine >= 0.8:
        return True
    if regex.search(r"\p{Han}", one + two):
        a, b = set(one), set(two)
        return len(a & b) / max(len(a), len(b), 1) >= 0.8
    half = min(len(one), len(two)) // 2
    return edits(one, two, half) <= half


def certain(one: str, two: str) -> str:
    """Why two names that may be one are, with no model to ask; empty where that is not sure."""
    bare = [_HONORIFIC.sub("", name) for name in (one, two)]
    if bare[0] == bare[1]:  # a bare surname is the man's or the wife's: not for rules to say
        return "" if regex.match(r"(?:mrs|miss|ms|lady)\b", max(one, two, key=len)) else "honorific"
    flat = [regex.sub(r"[\W_]+", "", name) for name in bare]
    if flat[0] == flat[1]:
        return "punctuation"
    split = [name.replace(".", ". ").split() for name in bare]
    if len(split[0]) == len(split[1]) > 1 and split[0][-1] == split[1][-1]:
        initials = [(a, b) for a, b in zip(*split) if a != b]
        if all(a[0] == b[0] and (len(a.rstrip(".")) == 1 or len(b.rstrip(".")) == 1) for a, b in initials):
            return "initials"
    spaced = min(map(len, bare)) >= 8 and all(" " in name and name.isascii() for name in bare)
    plural = bare[0].rstrip("s") == bare[1].rstrip("s")
    return (
        "spelling" if spaced and not plural and bare[0][:2] == bare[1][:2] and edits(bare[0], bare[1], 1) == 1 else ""
    )


def pairs(kinds: Mapping[str, str], near: Iterable[tuple[str, str, float]] = ()) -> Iterator[tuple[str, str]]:
    """Names of one kind that share a word or a pair of Chinese characters, or are `near` (cosine), and are `alike`."""
    blocks: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(kinds):
        for part in {name[a:b] for a, b in words(name)} | set(regex.findall(r"\p{Han}{2}", name, overlapped=True)):
            blocks[kinds[name], part].append(name)
    close = {(min(a, b), max(a, b)): cosine for a, b, cosine in near if kinds.get(a) == kinds.get(b)}
    together = {pair for block in blocks.values() if len(block) <= _COMMON for pair in combinations(block, 2)}
    for one, two in sorted(together | set(close)):
        if alike(one, two, close.get((one, two), 0.0)):
            yield one, two


def resolve(
    kinds: Mapping[str, str],
    counts: Mapping[str, int],
    near: Iterable[tuple[str, str, float]] = (),
    confirm: Confirm | None = None,
    apart: frozenset[Pair] = frozenset(),
) -> list[Alias]:
    """The alias log over the whole collection: names (by `key`) of `kinds`, each with how often it is mentioned.

    A pair is merged where `certain`, or where `confirm` (a model) says so. No blind closure: two groups become one
    only if each name of the one may be (`alike`) each of the other, and none of them is kept `apart`.
    """
    asked = [pair for pair in pairs(kinds, near) if pair not in apart]
    reasons = {pair: certain(*pair) for pair in asked}
    unsure = [pair for pair in asked if not reasons[pair]] if confirm else []
    for first in range(0, len(unsure), 100):
        batch = unsure[first : first + 100]
        reasons.update({pair: "model" for pair, same in zip(batch, confirm(batch)) if same})  # type: ignore[misc]
    group = {name: [name] for pair in asked if reasons[pair] for name in pair}
    may = set(asked)
    why: dict[str, str] = {}
    for one, two in sorted((pair for pair in asked if reasons[pair]), key=lambda p: (-counts[p[0]] - counts[p[1]], p)):
        a, b = group[one], group[two]
        if a is b or not all((min(x, y), max(x, y)) in may for x in a for y in b):
            continue
        why |= dict.fromkeys((one, two), reasons[one, two])
        a += b
        for name in b:
            group[name] = a
    log = []
    for name in sorted(group):
        best = max(group[name], key=lambda other: (counts[other], len(other), other))
        if name != best:
            log.append(Alias(name, best, why[name]))
    return log


def within(document: str, names: Mapping[str, int], apart: frozenset[Pair] = frozenset()) -> list[Alias]:
    """The alias log of one document: short for long, and homonyms split. `names`: by key, where each comes first.

    "Smith" is the one "Adam Smith" named before it here, and another Smith elsewhere; "Mercury", where "Mercury
    (planet)" is named, is the planet. Where two fit, none is taken.
    """
    log = []
    longer: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        plain = regex.sub(r"\s*[(（].*[)）]$", "", name)
        if plain != name:
            longer[plain].add(name)
        parts = _HONORIFIC.sub("", name).split()
        if 2 <= len(parts) <= 3 and parts[0] not in _APART and not regex.search(r"\p{Nd}| of ", name):
            longer[parts[-1]].add(name)
    for name in sorted(names):
        found = {other for other in longer[name] - {name} if (min(name, other), max(name, other)) not in apart}
        if len(found) == 1 and names[other := found.pop()] <= names[name]:
            log.append(Alias(name, other, "short form", document))
    return log
