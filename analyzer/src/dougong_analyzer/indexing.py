"""Index terms: what lexical search stores of a text and looks up of a query."""

from __future__ import annotations

import re
import threading
from functools import cache
from unicodedata import normalize

import regex

from dougong_analyzer.scripts import UNSPACED, simplified
from dougong_analyzer.segmentation import SPACED, jieba

# Grows whenever `terms` gives other terms for a text: an index of other terms must be made again.
TERMS_VERSION = 1

_STOPWORDS = {
    # Lucene's EnglishAnalyzer.
    "en": "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
    "this to was will with",
    # Function words of modern Chinese; none that a question can be about.
    "zh": "的 了 和 与 及 或 是 在 也 都 而 就 着 过 地 得 之 其 这 那 这个 那个 这些 那些 我 你 您 他 她 它 "
    "我们 你们 他们 她们 它们 一个 一种 一些 把 被 让 给 对 从 向 到 由 于 以 为 将 并 且 但 但是 而且 "
    "并且 因为 所以 如果 虽然 然而 吗 呢 吧 啊 呀 嘛 么 什么 怎么 哪 哪个 哪些 哪里 谁 很 还 又 再 才 "
    "只 等 等等 有 没有 不 会 能 可以 要 上 下 中 里",
}
_STOP = {language: frozenset(words.split()) for language, words in _STOPWORDS.items()}


def stopwords(language: str) -> frozenset[str]:
    """Stop words of ``en`` (the 33 of Lucene) or ``zh``, lower case, simplified; an empty set for other languages."""
    return _STOP.get(language, frozenset())


_ASCII = re.compile(r"[a-z0-9]+(?:(?:(?<=[a-z])'(?=[a-z])|(?<=[0-9])(?:\.(?=[0-9])|,(?=[0-9]{3}(?![0-9]))))[a-z0-9]+)*")
_SPACED = regex.compile(SPACED, regex.V1)
_UNSPACED = regex.compile(rf"[{UNSPACED}]")
_RUN = regex.compile(rf"(?P<unspaced>[{UNSPACED}][{UNSPACED}\p{{M}}]*)|{SPACED}", regex.V1)
_HAN = regex.compile(r"\p{Han}+")
_NUMBER = re.compile(r"[\d,.]+")


class _Stems(dict[str, str]):
    """Word to stem, filled on demand; the empty string for a stop word."""

    def __init__(self) -> None:
        import Stemmer

        self._stemmer = Stemmer.Stemmer("english", 0)
        self._lock = threading.Lock()  # a Snowball stemmer is not safe to share; the dict is

    def __missing__(self, word: str) -> str:
        if word in _STOP["en"]:
            stem = ""
        elif _NUMBER.fullmatch(word):  # 1,000 is 1000
            stem = word.replace(",", "")
        else:
            with self._lock:
                stem = self._stemmer.stemWord(word.replace("’", "'"))
        if len(word) <= 64:
            if len(self) >= 1_000_000:  # a hostile corpus must not fill the memory
                self.clear()
            self[word] = stem
        return stem


@cache
def _stems() -> _Stems:
    return _Stems()


def terms(text: str) -> list[str]:
    """Index terms of `text`, in order, with repetitions; the same for documents and queries.

    Text is normalised (NFKC), lower-cased, and traditional Chinese met with simplified. Spaced words lose English stop
    words and are stemmed (Snowball English, whatever the language). A run of Chinese gives its character bigrams and
    its jieba words (search mode, stop words left out): bigrams find what the dictionary does not know, words weigh
    what it does, and a word of two characters counts twice. A character that stands alone is kept. Kana, Hangul, Thai
    and their like give bigrams.

    Source: Lucene EnglishAnalyzer and CJKBigramFilter; jieba, search mode.
    """
    stems = _stems()
    if text.isascii():
        return [stem for word in _ASCII.findall(text.lower()) if (stem := stems[word])]
    # NFKC makes the Chinese comma an English one: an enumeration (100，200) would read as a number.
    text = normalize("NFKC", text.replace("，", " ")).lower()
    if not _UNSPACED.search(text):
        return [stem for word in _SPACED.findall(text) if (stem := stems[word])]
    found: list[str] = []
    for match in _RUN.finditer(simplified(text)):
        run = match.group()
        if match.lastgroup is None:
            if stem := stems[run]:
                found.append(stem)
        elif len(run) == 1:
            found.append(run)
        else:
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
            for han in _HAN.findall(run):
                found.extend(word for word in jieba().cut_for_search(han) if word not in _STOP["zh"])
    return found
