"""The figures by which candidates are ranked: each interpretable, mostly a share of the question's weight.

Terms are stems and, in Chinese, pairs of neighbouring characters, which need no dictionary to agree on word boundaries.
A term's weight is its inverse frequency over the candidates at hand.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import attrs
from dougong_analyzer import language, simplified, terms

from dougong_llm_extractive.candidates import Candidate, candidates
from dougong_llm_extractive.question import KINDS, UNIT_OF_MEASURE, asks, evidence

FEATURES = (
    "cover",  # weight of the question's terms that the candidate has
    "plain",  # the same, every term weighing alike
    "soft",  # weight of the others whose first five letters, or one of whose characters, it has
    "unique",  # weight of those that it alone has in its passage: what the passage is about says little about where
    "inherit",  # weight of those that it lacks but the headings or the first sentence of the passage have
    "prev",  # weight of those that it lacks but the sentence before has
    "pronoun",  # the same, if the candidate begins with a pronoun
    "bigram",  # weight of the question's neighbouring terms that neighbour here too
    "near",  # most weight within eleven terms
    "order",  # heaviest common subsequence
    "missing",  # weight of the heaviest term that it lacks, against the heaviest of all
    "numbers",  # share of the question's numbers
    "focus",  # share of the terms of the noun whose value is wanted ("水深", "country")
    "measure",  # a number followed by the unit asked for
    "bm25",  # Okapi BM25 of the passage among the passages given, against the best
    "rank",  # 1 / rank of the passage
    "first",  # it begins its passage
    "position",  # where it starts, 0 to 1
    "length",  # ln(1 + terms) / 4
    "dense",  # share of its terms that are the question's
    "asks",  # it is a question itself
    "cut",  # it is a window of a longer sentence
    *(f"has-{kind}" for kind in KINDS),  # it has something of the type that this kind of question asks for
    *(f"by-{kind}" for kind in KINDS),  # 1 / (1 + distance / 20) of that to the nearest term of the question
)
CONFIDENCE = ("bias", "score", "log-share", "margin", "plain", "soft", "prev", "passage", "missing", "terms")

_UNIT = re.compile(r"([\u3400-\u9fff\U00020000-\U0003ffff]+)|[^\W_]+(?:['’.,][^\W_]+)*")
_PRONOUN = re.compile(
    r"(?:he|she|it|they|this|these|that|those|his|her|its|their|such|the (?:latter|former))\b"
    r"|[他她它其该此这那]|同年|两者|后者",
    re.I,
)
_DIGITS = re.compile(r"\d+")
# Beyond the index's stop words: words that questions are made of.
_ASKING_WORDS = (
    "also been call can could did do doe done from had has have he her him his how i its kind may might more "
    "most name other our she should than type us we what when where which who whom whose would you"
)
_ASKING = frozenset(_ASKING_WORDS.split())
_FREQUENT = frozenset("的了是在和与及有也就都而着或被把他她它我你们这那个一为于以之其中对从到等人年")
_LONGEST_QUESTION = 128  # terms; the rest of a longer one is passed over


@attrs.frozen
class Passage:
    """A labelled passage; `headings` is the path of titles above it."""

    label: str
    text: str
    headings: str = ""


@lru_cache(65536)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(term for term in dict.fromkeys(terms(word)) if term not in _ASKING)


def units(text: str) -> list[tuple[str, int]]:
    """Terms of `text` and where they start."""
    found: list[tuple[str, int]] = []
    for match in _UNIT.finditer(simplified(text)):
        start, run = match.start(), match[1]
        if run is None:
            found.extend((term, start) for term in _stems(match[0]))
        elif len(run) == 1:
            found.append((run, start))
        else:
            found.extend((run[i : i + 2], start + i) for i in range(len(run) - 1))
    return found


class Question:
    """A question taken apart: type, language, terms in order, focus, numbers."""

    def __init__(self, text: str) -> None:
        self.lower = text.lower()
        self.language = "zh" if language(text) == "zh" else "en"
        self.kind, rest, self.focus, self.counted = asks(text, self.language)
        self.order = [term for term, _ in units(rest)][:_LONGEST_QUESTION]
        self.terms = tuple(dict.fromkeys(self.order))
        self.focus_terms = [term for term, _ in units(self.focus)]
        self.pairs = list(zip(self.order, self.order[1:]))
        self.numbers = set(re.findall(r"\d+", rest))


@attrs.frozen
class Evidence:
    """The candidates of passages, their features (one row each, as FEATURES), each passage's share of the question."""

    question: Question
    passages: Sequence[Passage]
    candidates: list[Candidate]
    rows: list[list[float]]
    passage_cover: list[float]

    def text(self, index: int) -> str:
        """The words of a candidate."""
        c = self.candidates[index]
        return str(self.passages[c.passage].text[c.start : c.end])

    def confidence_features(self, scores: Sequence[float]) -> list[float]:
        """The figures, in the order of CONFIDENCE, that say whether the best of `scores` answers at all."""
        best = max(range(len(scores)), key=scores.__getitem__)
        place = self.candidates[best].passage
        elsewhere = [s for s, c in zip(scores, self.candidates) if c.passage != place]
        row = dict(zip(FEATURES, self.rows[best]))
        share = -math.log(sum(math.exp(score - scores[best]) for score in scores))
        margin = scores[best] - max(elsewhere, default=min(scores))
        same = ("plain", "soft", "prev")
        return [
            1.0,
            scores[best] / 5,
            share,
            margin / 3,
            *(row[name] for name in same),
            self.passage_cover[place],
            row["missing"],
            len(self.question.terms) / 10,
        ]


def gather(text: str, passages: Sequence[Passage], limit: int = 60) -> Evidence:
    """Candidates of at most `limit` tokens for the question `text`, with their features."""
    question = Question(text)
    found = [c for number, passage in enumerate(passages) for c in candidates(number, passage.text, limit)]
    spelled = [units(passages[c.passage].text[c.start : c.end]) for c in found]
    wanted = frozenset(question.terms)
    sets = [frozenset(term for term, _ in spelling) for spelling in spelled]
    hits = [terms & wanted for terms in sets]
    weight = _idf(question.terms, hits)

    def mass(terms: Iterable[str]) -> float:
        return sum(weight[term] for term in terms)

    total = mass(question.terms) or 1.0
    heaviest = max(weight.values(), default=0.0) or 1.0
    pairs_total = sum(weight[a] + weight[b] for a, b in question.pairs) or 1.0
    order_total = mass(question.order) or 1.0
    members: list[list[int]] = [[] for _ in passages]
    for i, candidate in enumerate(found):
        members[candidate.passage].append(i)
    titles = [frozenset(term for term, _ in units(p.headings)) & wanted for p in passages]
    lead = [title | hits[inside[0]] if inside else title for title, inside in zip(titles, members)]
    covers = [mass(title.union(*(hits[i] for i in inside))) / total for title, inside in zip(titles, members)]
    bm25 = _bm25(wanted, [[term for i in inside for term, _ in spelled[i]] for inside in members])
    long_terms = [term for term in question.terms if len(term) >= 5 and term.isascii()]
    han_terms = [term for term in question.terms if len(term) == 2 and not term.isascii()]

    rows: list[list[float]] = []
    for i, c in enumerate(found):
        passage, spelling, hit = passages[c.passage], spelled[i], hits[i]
        quote = passage.text[c.start : c.end]
        inside = members[c.passage]
        before = hits[i - 1] - hit if i > inside[0] else frozenset()
        others = frozenset[str]().union(*(hits[j] for j in inside if found[j].sentence != c.sentence))
        places = [(k, term) for k, (term, _) in enumerate(spelling) if term in wanted]
        neighbours = set(zip((term for term, _ in spelling), (term for term, _ in spelling[1:])))
        numbers = set(_DIGITS.findall(quote)) & question.numbers
        f = dict.fromkeys(FEATURES, 0.0)
        f["cover"] = mass(hit) / total
        f["plain"] = len(hit) / max(1, len(question.terms))
        f["soft"] = _soft(long_terms, han_terms, sets[i], hit, weight) / total
        f["unique"] = mass(hit - others) / total
        f["inherit"] = mass(lead[c.passage] - hit) / total
        f["prev"] = mass(before) / total
        f["pronoun"] = f["prev"] if _PRONOUN.match(quote) else 0.0
        f["bigram"] = sum(weight[a] + weight[b] for a, b in question.pairs if (a, b) in neighbours) / pairs_total
        f["near"] = (
            max(
                (mass({t for k, t in places[j : j + 11] if k - at <= 10}) for j, (at, _) in enumerate(places)),
                default=0,
            )
            / total
        )
        f["order"] = _in_order([t for t in question.order if t in hit], [t for _, t in places], weight) / order_total
        f["missing"] = max((weight[term] for term in question.terms if term not in hit), default=0.0) / heaviest
        f["numbers"] = len(numbers) / max(1, len(question.numbers))
        f["focus"] = sum(term in sets[i] for term in question.focus_terms) / max(1, len(question.focus_terms))
        f["bm25"] = bm25[c.passage]
        f["rank"] = 1 / (1 + c.passage)
        f["first"] = float(i == inside[0])
        f["position"] = c.start / max(1, len(passage.text))
        f["length"] = math.log1p(len(spelling)) / 4
        f["dense"] = len(places) / max(1, len(spelling))
        f["asks"] = float(quote.rstrip('"”’」 ').endswith(("?", "？")))
        f["cut"] = float(not c.whole)
        if answers := evidence(question.kind, quote, question.lower):
            f[f"has-{question.kind}"] = 1.0
            if places:
                starts = [spelling[k][1] for k, _ in places]
                f[f"by-{question.kind}"] = 1 / (1 + min(abs(a - s) for a, _ in answers for s in starts) / 20)
            if question.kind == "number":
                f["measure"] = float(_measured(question, quote, spelling, answers))
        rows.append(list(f.values()))
    return Evidence(question, passages, found, rows, covers)


def _idf(question: Iterable[str], hits: Sequence[frozenset[str]]) -> dict[str, float]:
    """Lucene's inverse document frequency over the candidates: ln(1 + (n - df + 1/2) / (df + 1/2))."""
    counts = Counter(term for hit in hits for term in hit)
    return {term: math.log(1 + (len(hits) - counts[term] + 0.5) / (counts[term] + 0.5)) for term in question}


def _bm25(wanted: frozenset[str], passages: Sequence[Sequence[str]], k1: float = 1.5, b: float = 0.75) -> list[float]:
    """BM25 of each passage among `passages`, the best one 1. A retriever's own scores are not used: no two compare."""
    found = [Counter(term for term in passage if term in wanted) for passage in passages]
    weight = _idf(wanted, [frozenset(counts) for counts in found])
    mean = sum(map(len, passages)) / max(1, len(passages)) or 1.0
    scores = [
        sum(weight[term] * tf / (tf + k1 * (1 - b + b * len(passage) / mean)) for term, tf in counts.items())
        for counts, passage in zip(found, passages)
    ]
    best = max(scores, default=0.0) or 1.0
    return [score / best for score in scores]


def _soft(
    long: Sequence[str], han: Sequence[str], terms: frozenset[str], hit: frozenset[str], weight: dict[str, float]
) -> float:
    """Weight of the terms that are met in part: cancel in cancellation, 中止 in 终止."""
    found = 0.0
    if long:
        prefixes = {term[:5] for term in terms if len(term) >= 5}
        found += sum(weight[term] for term in long if term not in hit and term[:5] in prefixes)
    if han:
        characters = {c for term in terms if not term.isascii() for c in term} - _FREQUENT
        found += sum(weight[term] * len(characters.intersection(term)) / 2 for term in han if term not in hit)
    return found


def _in_order(question: Sequence[str], quote: Sequence[str], weight: dict[str, float]) -> float:
    """Weight of the heaviest common subsequence."""
    best = [0.0] * (len(quote) + 1)
    for term in question:
        diagonal = 0.0
        for j, other in enumerate(quote, 1):
            above = best[j]
            best[j] = diagonal + weight[term] if other == term else max(above, best[j - 1])
            diagonal = above
    return best[-1]


def _measured(
    question: Question, quote: str, spelling: Sequence[tuple[str, int]], numbers: list[tuple[int, int]]
) -> bool:
    """Whether a number is followed by what is counted, or, where the question does not say what, by any unit."""
    if not question.counted:
        return any(UNIT_OF_MEASURE.match(quote, end) for _, end in numbers)
    if question.language == "zh":
        return any(question.counted in quote[end : end + 2] for _, end in numbers)
    counted = {term for term, _ in units(question.counted)}
    return any(term in counted and end <= at <= end + 25 for _, end in numbers for term, at in spelling)
