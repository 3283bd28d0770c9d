"""Text to mentions and relations, with no model: rules and statistics, English and Chinese.

Every offset is into the text given; the graph moves it to the document.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from unicodedata import normalize

import attrs
import regex
from dougong_analyzer import sentences, simplified, stopwords, words
from dougong_analyzer.segmentation import jieba


@attrs.frozen
class Mention:
    """A stretch that names something. `firm` is False where only its place (a sentence's start) makes it a name."""

    name: str
    kind: str  # name place group date quantity term; of a model: what it says
    start: int
    end: int
    firm: bool = True


@attrs.frozen
class Relation:
    """`subject` `label` `object`, read at ``[start, end)``. Kinds: ``relation claim``, ``near``: one sentence."""

    subject: str
    label: str
    object: str
    start: int
    end: int
    kind: str = "relation"


@attrs.frozen
class Extraction:
    """What one chunk says. `by` names the extractor: ``rules``, or a hash of what a model was asked."""

    mentions: tuple[Mention, ...] = ()
    relations: tuple[Relation, ...] = ()
    by: str = "rules"


_WORDS = (
    "he she his her hers him we our us you your i my me its who whom whose which what when where why how while during "
    "after before since until although though however also both each every all any some many most several one two "
    "three first second from about over under between among through upon than so yet nor do does did have has had "
    "were been being can could would should may might must shall let here now thus hence please yes oh ah well come "
    "go up out down again still just only even never ever very too more don't later soon meanwhile "
    "today yesterday perhaps indeed"
)
_FUNCTION = stopwords("en") | set(_WORDS.split())
# The 120 surnames that most Chinese bear, and compound ones: what the tagger takes for a person without one is none.
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖"
    "贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳"
    "翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤"
    "阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛"
    "仲虞敖巩明佘池查麻苑迟邝诸上慕皇令端东南呼"
)
_LINK = r"(?:of|the|de|la|le|del|von|van|der|den|di|da|du|al|bin|ibn|for|and(?=\s+the\s+\p{Lu}))"
_CAPITAL = r"(?:\p{Lu}\.(?=\s?\p{Lu})|\p{Lu}[\p{L}\p{M}\p{Nd}&+'’\-]*(?:(?<=\b(?:Mr|Mrs|Ms|Dr|St|Jr|Sr))\.)?)"
_GAP = r"(?:[ \t]+|[ \t]*\r?\n[ \t]*)"
_NAME = regex.compile(
    rf"{_CAPITAL}(?:{_GAP}(?:{_LINK}{_GAP}){{0,2}}{_CAPITAL}|{_GAP}\p{{Nd}}{{1,3}}\b|(?<=\.)\p{{Lu}}\w*)*"
)
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = regex.compile(
    rf"\b(?:(?:\p{{Nd}}{{1,2}}\s+)?{_MONTH}(?:\s+\p{{Nd}}{{1,2}}(?:st|nd|rd|th)?)?,?\s+[12]\p{{Nd}}{{3}}|{_MONTH}\s+\p{{Nd}}{{1,2}}\b"
    r"|[12]\p{Nd}{3}s?(?![\p{Nd}\p{L}]))|(?:\p{Nd}{2,4}|[一二三四五六七八九十〇零元]{1,4})年(?:[\p{Nd}一二三四五六七八九十]{1,3}月(?:[\p{Nd}一二三四五六七八九十]{1,3}[日号])?)?"
)
_QUANTITY = regex.compile(
    r"(?<![\p{L}\p{Nd}.])\p{Nd}[\p{Nd},.]*(?:\s?%|\s(?:million|billion|thousand|kilomet\w+|met\w+|miles|people|years|dollars|episodes)\b|[万亿]?(?:人|元|米|公里|岁|个|名))"
)
_QUOTED = regex.compile(r"《([^《》\n]{1,40})》|[“「『]([^“”「」『』\n，。！？,.!?]{2,12})[”」』](?=\p{Han})")
_HAN = regex.compile(r"[\p{Han}·]{2,}")
_COPULA = regex.compile(
    r"\s*,?\s*(?:is|was|are|were|became)\s+(?:an?|the|one of the)\s+|\s*(?:是|就是|即是|名叫|叫做|为)(?!了|着|什么)"
)
_APPOSITION = regex.compile(r",\s+(?:an?|the)\s+(?=\p{Ll})")
_PREDICATE = regex.compile(r"[^,;:，；：。.!?\n()（）“”\"]{1,60}?(?=[,;:，；：。.!?\n()（）“”\"]|$)")
# Chinese nouns of jieba's tag set: names of people, places, groups, works; times; other nouns.
_NOUNS = frozenset(["n", "vn", "an", "ng", "l", "i", "j", "t", "s"])
_KINDS = {"nr": "name", "nrt": "name", "nrfg": "name", "ns": "place", "nt": "group", "nz": "name"}
_OPENERS = ("", *"\"'“‘—–-([:*_#>[]")  # a capital after these says nothing
_TITLE = regex.compile(r"[#*_\s]*[\p{L}\p{N}\"'“‘(《「]")
_FUNCTIONAL = regex.compile(r"(?i)(?:i|you|he|she|it|we|they|that|there|what|who|let|don|can|won|isn|ain)['’]")
NEAR = 4  # mentions after it that a mention is near to, in a sentence


def key(name: str) -> str:
    """What spellings of one name share: NFKC, case, spaces, traditional characters, an article, a genitive."""
    name = " ".join(simplified(normalize("NFKC", name)).casefold().replace("’", "'").split())
    return name.removeprefix("the ").removesuffix("'s").strip(" .,'-_·*") or name


def extract(text: str, title: str = "") -> Extraction:
    """Mentions and relations of `text`. `title`: the heading above it, named by its first line where it is that."""
    mentions: list[Mention] = []
    relations: list[Relation] = []
    for number, (start, end) in enumerate(sentences(text)):
        sentence = text[start:end]
        if not sentence.strip():
            continue
        found = list(_mentions(sentence, start, number == 0 and _is_title(text, start, end)))
        mentions += found
        relations += _relations(text, found, end)
    if title and (at := text.find(title)) >= 0:
        mentions.append(Mention(title, "name", at, at + len(title)))
    return Extraction(tuple(dict.fromkeys(mentions)), tuple(dict.fromkeys(relations)))


def _is_title(text: str, start: int, end: int) -> bool:
    line = text[start:end].strip()
    if not (end < len(text) and text[:end].endswith("\n") and line[-1] not in ".。!！?？:：,，;；"):
        return False
    return len(line) <= 80 and len(line.split()) <= 12 and _TITLE.match(line) is not None


def _mentions(sentence: str, offset: int, title: bool) -> Iterator[Mention]:
    """In order, not overlapping but for a title, which is a mention as a whole as well."""
    taken = bytearray(len(sentence))
    found: list[Mention] = []

    def take(start: int, end: int, kind: str, firm: bool = True) -> None:
        if end > start and not any(taken[start:end]):
            taken[start:end] = b"\1" * (end - start)
            found.append(Mention(sentence[start:end], kind, offset + start, offset + end, firm))

    if title:
        lead = len(sentence) - len(sentence.lstrip(" \t\r\n#*_"))
        take(lead, len(sentence.rstrip(" \t\r\n#*_")), "name")
        return (yield from found)
    for match in _QUOTED.finditer(sentence):
        start, end = match.span(match.lastindex or 0)
        take(start, end, "name")
    for match in _DATE.finditer(sentence):
        take(match.start(), match.end(), "date")
    for match in _QUANTITY.finditer(sentence):
        take(match.start(), match.end(), "quantity")
    if not sentence.isascii():
        for start, end, kind in _chinese(sentence):
            take(start, end, kind, kind != "term")
    for match in _NAME.finditer(sentence):
        start, end = match.span()
        begins = sentence[:start].rstrip()[-1:] in _OPENERS
        for part in regex.finditer(r"\S+", match.group()):  # The, In, His: no part of a name; what follows them is firm
            if not _FUNCTIONAL.match(part.group()) and part.group().casefold().strip(".,") not in _FUNCTION:
                start = match.start() + part.start()
                begins = begins and part.start() == 0
                break
        else:
            continue
        end -= len(sentence[start:end]) - len(regex.sub(r"['’]s$", "", sentence[start:end]))
        if end - start > 1:
            take(start, end, "name", not begins or " " in sentence[start:end])
    for start, end in _runs(sentence):
        take(start, end, "term", False)
    yield from sorted(found, key=lambda mention: mention.start)


def _chinese(sentence: str) -> Iterator[tuple[int, int, str]]:
    """Names by the dictionary's tags (a surname takes what follows it: 朱|五四), then runs of nouns."""
    nouns: list[tuple[int, int, str]] = []
    for han in _HAN.finditer(sentence):
        at, tagged = han.start(), jieba().tag(simplified(han.group()))
        run = surname = -1
        for word, tag in [*tagged, ("", "x")]:
            if surname >= 0 and len(word) <= 2 and tag[:1] not in "vpcudrx":
                yield surname, at + len(word), "name"
                surname = -1
            elif (kind := _KINDS.get(tag) if len(word) > 1 else "") and (tag != "nr" or _is_person(word)):
                yield at, at + len(word), kind
            surname = at if (word, tag[:2]) != ("", "x") and len(word) == 1 and tag == "nr" else -1
            noun = tag in _NOUNS or tag in _KINDS
            if noun and run < 0:
                run = at
            elif not noun and run >= 0:
                nouns.append((run, at, "term"))
                run = -1
            at += len(word)
    yield from (noun for noun in nouns if noun[1] - noun[0] >= 2)


def _is_person(word: str) -> bool:
    return word[0] in _SURNAMES and 2 <= len(word) <= 4 and word[-1] not in "的了着白"


def _runs(sentence: str) -> Iterator[tuple[int, int]]:
    """Two to four spaced words, lower case, none of them a function word, nothing but a space between them."""
    run: list[tuple[int, int]] = []
    for start, end in [*words(sentence), (len(sentence) + 2, len(sentence) + 2)]:
        word = sentence[start:end]
        joins = not run or sentence[run[-1][1] : start] in (" ", "-")
        content = word.isascii() and word.islower() and word.isalpha() and len(word) > 2 and word not in _FUNCTION
        if run and not (joins and content):
            if 2 <= len(run) <= 4:
                yield run[0][0], run[-1][1]
            run = []
        if content:
            run.append((start, end))


def _relations(text: str, found: Sequence[Mention], end: int) -> Iterator[Relation]:
    """Of the mentions of one sentence: the words between two neighbours, what one *is*, and nearness."""
    named = [mention for mention in found if mention.kind != "term"]
    for at, subject in enumerate(named):
        match = _COPULA.match(text, subject.end, end) or _APPOSITION.match(text, subject.end, end)
        told = match and _PREDICATE.match(text, match.end(), end)
        if told and told.group().strip():
            label = match.group().strip(" ,，") or "is"
            yield Relation(subject.name, label, told.group().strip(), subject.start, told.end(), "claim")
        for distance, other in enumerate(named[at + 1 : at + 1 + NEAR]):
            between = text[subject.end : other.start].strip()
            told_by = distance == 0 and 1 < len(between) <= 60 and _PREDICATE.fullmatch(between)
            yield Relation(subject.name, " ".join(between.split()) if told_by else "", other.name,
                           subject.start, other.end, "relation" if told_by else "near")  # fmt: skip


def c_values(runs: Iterable[Sequence[str]]) -> dict[tuple[str, ...], float]:
    """C-value of each n-gram (n > 1) of `runs` that occurs twice and is no accident (pointwise mutual information > 0).

    ``log2 n * (f(a) - mean f(b))``, b: longer n-grams around a. Source: Frantzi, Ananiadou and Mima 2000, section 2.1.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for run in runs:
        counts.update(tuple(run[i:j]) for i in range(len(run)) for j in range(i + 1, len(run) + 1))
    total = sum(count for gram, count in counts.items() if len(gram) == 1)
    frequent = {gram: count for gram, count in counts.items() if len(gram) > 1 and count > 1}
    around: dict[tuple[str, ...], list[int]] = {}
    for gram, count in frequent.items():
        for size in range(2, len(gram)):
            for inner in {gram[i : i + size] for i in range(len(gram) - size + 1)}:
                around.setdefault(inner, []).append(count)
    return {
        gram: math.log2(len(gram)) * (count - sum(around.get(gram, [0])) / max(1, len(around.get(gram, []))))
        for gram, count in frequent.items()
        if math.log(count / total) > sum(math.log(counts[part,] / total) for part in gram)
    }
