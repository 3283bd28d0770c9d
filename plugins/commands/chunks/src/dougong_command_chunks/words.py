"""The few words of the command, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Compare chunkers on a file or a library: figures, chunks, one HTML page.": (
        "在一个文件或文档库上比较分块方法：数据、分块、单个 HTML 页面。"
    ),
    "Chunkers to compare: techniques, or names in the config.": "要比较的分块方法：技术名，或配置中的名字。",
    "The size of each of them, in its tokens.": "各方法的块大小，以各自的词元计。",
    "Override a value: fixed.overlap=10.": "覆盖一个值：fixed.overlap=10。",
    "Load a local plugin file; repeatable.": "加载本地插件文件；可重复。",
    "Documents of a library, at most.": "文档库中最多取多少份文档。",
    "Chunks to show of each.": "每种方法显示多少块。",
    "Write one self-contained page.": "写成一个自足的网页。",
    "First have the rules of chunkers that learn written anew.": "先让会学习的分块方法重新写出规则。",
    "Cut PATH, a file or the documents of the library in a config (.yaml, .yml, .json), by several chunkers; show "
    "how many chunks of which sizes they make, where they cut, and whether each chunk is a piece of its document.": (
        "用几种分块方法切分 PATH（一个文件，或配置文件 .yaml、.yml、.json 中文档库的文档），"
        "显示各得到多少块、大小如何、在哪里切开，以及每一块是否确为文档原文。"
    ),
    "chunker": "分块方法",
    "chunks": "块数",
    "mean": "平均",
    "median": "中位",
    "max": "最大",
    "size": "上限",
    "fill": "充满",
    "oversize": "超大",
    "seconds": "秒",
    "violations": "违例",
    "tokens": "词元",
    "line {n}": "第 {n} 行",
    "chunk {n}": "第 {n} 块",
    "documents: {n}, characters: {characters}": "{n} 份文档，{characters} 个字符",
    "the first {n} of {all} documents; --documents takes more": "{all} 份文档中的前 {n} 份；用 --documents 可取更多",
    "the first {n} of {all} characters are shown; the figures are of all": (
        "只显示 {all} 个字符中的前 {n} 个；数据按全文计算"
    ),
    "sizes in tokens": "块大小（词元）",
    "{n} chunks of {low} to {high} tokens": "{low} 到 {high} 个词元的块有 {n} 个",
    "in {n} chunks": "同属 {n} 块",
    "nothing was cut": "没有切出任何块",
    "skipped {source}: {reason}": "跳过 {source}：{reason}",
    "error": "错误",
    "{path} is a folder": "{path} 是一个文件夹",
    "name one file in it, or a config with a library": "请指明其中一个文件，或一个含文档库的配置",
    "{path} does not exist": "{path} 不存在",
    "check the path": "请检查路径",
    "the config has no library": "配置中没有文档库",
    "name one: library: {use: retriever.library, sources: [docs/]}": (
        "请写一个：library: {use: retriever.library, sources: [docs/]}"
    ),
    "the library has no document that can be read": "文档库中没有可读的文档",
    "check its sources": "请检查它的 sources",
    "none of the chunkers learns": "这些分块方法都不会学习",
    "name one that does, llm-rules say": "请指定一个会学习的，如 llm-rules",
    "'{name}' is a {kind}, no chunker": "“{name}”是 {kind}，不是分块方法",
    "name a chunker": "请指定一种分块方法",
    "a chunk that is not the text of its span": "有一块与其位置上的原文不符",
    "a chunk that is blank": "有一块是空白",
    "two chunks of one id": "有两块的 id 相同",
    "a chunk that begins before the one before it": "有一块比前一块开始得更早",
    "text that is in no chunk": "有文字不在任何一块中",
    "a chunk larger than its size that does not say so": "有一块超过上限却未标明",
    "a chunk of another document": "有一块属于别的文档",
}


def w(text: str, /, **values: object) -> str:
    """`text` in the user's language."""
    return say(text, language(), **values)


def say(text: str, lang: str, /, **values: object) -> str:
    """`text` in the language asked for."""
    chosen = _CHINESE.get(text, text) if lang == "zh" else text
    return chosen.format(**values) if values else chosen
