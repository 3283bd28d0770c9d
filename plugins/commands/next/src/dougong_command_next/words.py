"""The few words of the command, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Show what a language model expects next, and how a text is cut into tokens.": (
        "显示语言模型预期的下一个词元，以及文本如何被切成词元。"
    ),
    "Show the likeliest tokens after TEXT by the language model in FOLDER (config.json, safetensors, tokenizer.json), "
    "and write on from there.": (
        "用 FOLDER 中的语言模型（config.json、safetensors、tokenizer.json）显示 TEXT 之后最可能的词元，并可续写。"
    ),
    "How many tokens to show.": "显示多少个词元。",
    "Then write N tokens.": "然后续写 N 个词元。",
    "0 writes the likeliest token each time.": "为 0 时每次取最可能的词元。",
    "Of what is drawn by chance.": "随机抽取的种子。",
    "Show how the tokenizer cuts the text; loads no network.": "显示分词器如何切分文本；不加载网络。",
    "{tokens} tokens, {characters} characters, {rate:.2f} characters a token": (
        "{tokens} 个词元，{characters} 个字符，每词元 {rate:.2f} 个字符"
    ),
}


def w(text: str, **values: object) -> str:
    """`text` in the user's language."""
    return (_CHINESE.get(text, text) if language() == "zh" else text).format(**values)
