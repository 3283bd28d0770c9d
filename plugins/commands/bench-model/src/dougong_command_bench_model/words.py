"""The few words of the command, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Measure the caches, networks and experts of a config; plan a memory.": "测量配置中的缓存、网络和专家；规划内存。",
    "Measure what CONFIG describes: by default each technique of kind cache on its network, by speed, bytes and "
    "perplexity.": "测量 CONFIG 所描述的内容：默认对其网络逐一测量各缓存技术的速度、字节数和困惑度。",
    "Name of the network in the config, where there are several.": "配置中有多个网络时，指定其名称。",
    "Tokens in the cache; repeatable.": "缓存中的词元数；可重复。",
    "Tokens after them that are timed.": "其后计时的词元数。",
    "Rounds; figures are their medians.": "轮数；取中位数。",
    "The longest context in a memory, 8GB say.": "给定内存（如 8GB）能容纳的最长上下文。",
    "Of weights and caches.": "权重与缓存的数据类型。",
    "Compare the networks of the config.": "比较配置中的各个网络。",
    "Which expert reads which text.": "哪个专家处理哪些文本。",
    "Text to read; repeatable.": "要读取的文本；可重复。",
    "The tokenizer.json of the network.": "网络的 tokenizer.json。",
    "Draw the figures as PNG or SVG.": "把数据画成 PNG 或 SVG。",
    "cache": "缓存",
    "length": "长度",
    "tokens/s": "词元/秒",
    "bytes": "字节",
    "perplexity": "困惑度",
    "drift %": "偏移 %",
    "tokens": "词元",
    "bytes a token": "每词元字节",
    "weights": "权重",
    "network": "网络",
    "parameters": "参数",
    "forward tokens/s": "前向 词元/秒",
    "training tokens/s": "训练 词元/秒",
    "text": "文本",
    "layer": "层",
    "expert": "专家",
    "share": "份额",
}


def w(text: str, **values: object) -> str:
    """`text` in the user's language."""
    return (_CHINESE.get(text, text) if language() == "zh" else text).format(**values)
