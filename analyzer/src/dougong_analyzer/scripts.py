"""Scripts of the world's writing: what language a text is in, and traditional characters met with simplified ones."""

from __future__ import annotations

from functools import cache

import regex

# Written without spaces between words, or (Hangul) with particles grown onto them.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"

# Units that count alike: about one word each.
_WORDS = regex.compile(
    r"(?P<zh>\p{Han})|(?P<ja>[\p{Hiragana}\p{Katakana}])|(?P<ko>\p{Hangul})|(?P<en>\p{Latin}+)|(?P<ru>\p{Cyrillic}+)"
    r"|(?P<und>\p{L}+)"
)
_CHARACTERS_A_WORD = {"zh": 1.5, "ja": 1.5, "ko": 2.5}


def language(text: str) -> str:
    """The language that most of `text` is in, told by its scripts alone: ``zh en ja ko ru und``.

    Each script is weighed by its words (1.5 Han characters make one): "请用 Python 写一个 web server" is Chinese,
    "What does 机器学习 mean here?" is English. Han with at least a tenth of kana is ``ja``. Latin script is called
    ``en`` whatever the language, Cyrillic ``ru``, other scripts ``und``; a text without letters is ``en``. Only the
    first 10,000 characters are read.
    """
    text = text[:10_000]
    if text.isascii():
        return "en"
    found = dict.fromkeys(("en", "zh", "ja", "ko", "ru", "und"), 0.0)
    for match in _WORDS.finditer(text):
        script = match.lastgroup
        found[script] += 1 / _CHARACTERS_A_WORD.get(script, 1)
    if found["ja"] > 0.1 * found["zh"]:
        found["ja"] += found["zh"]
        found["zh"] = 0
    return max(found, key=found.__getitem__)


def simplified(text: str) -> str:
    """`text` with each traditional Chinese character replaced by its simplified form, character by character.

    The length stays the same, so offsets into the result are offsets into `text`. Where a traditional character has
    several simplified forms the most frequent one is taken (乾 is always 干): right for matching, not for display.

    Source: the table TSCharacters of OpenCC.
    """
    return text if text.isascii() else text.translate(_table())


@cache
def _table() -> dict[int, int]:
    from importlib.resources import files  # 10 ms: not before it is needed

    traditional, simple = files(__package__).joinpath("traditional.txt").read_text("utf-8").split()
    return str.maketrans(traditional, simple)
