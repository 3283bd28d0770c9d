"""The few words of the command, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Show a library's knowledge graph: figures, or one HTML page.": (
        "查看文档库的知识图谱：统计数字，或单个 HTML 页面。"
    ),
    "Show what the knowledge graph in the library of CONFIG holds: figures, and one page to explore it.": (
        "查看 CONFIG 中文档库的知识图谱：统计数字，以及可供浏览的单个页面。"
    ),
    "Write one self-contained page.": "写成一个自足的网页。",
    "Entities on the page, at most.": "页面上实体的最大数量。",
    "Entities to print.": "打印多少个实体。",
    "Override a value: library.index.term_value=6.": "覆盖一个值：library.index.term_value=6。",
    "Load a local plugin file; repeatable.": "加载一个本地插件文件；可重复。",
    "the config has no library with a graph": "配置里没有带图谱的文档库",
    "write library: {{use: retriever.library, sources: [docs/], index: {{use: graph}}}}": (
        "写成 library: {{use: retriever.library, sources: [docs/], index: {{use: graph}}}}"
    ),
    "chunks": "片段",
    "entities": "实体",
    "relations": "关系",
    "claims": "陈述",
    "communities": "社区",
    "aliases": "别名",
    "orphans": "孤立实体",
    "knowledge graph": "知识图谱",
    "Most joined": "联系最多",
    "Search": "搜索",
    "entity": "实体",
    "also": "又名",
    "joined to": "相关",
    "said of it": "陈述",
    "places": "出处",
    "line": "行",
    "community": "社区",
    "and {n} more": "另有 {n} 处",
    "nothing found": "没有找到",
    "Drag to move, scroll to zoom, click a dot.": "拖动平移，滚轮缩放，点击圆点查看。",
    "near": "同句出现",
    "synonym": "近义",
}


def w(text: str, **values: object) -> str:
    """`text` in the user's language."""
    return (_CHINESE.get(text, text) if language() == "zh" else text).format(**values)
