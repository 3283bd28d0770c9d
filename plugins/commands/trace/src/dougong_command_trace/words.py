"""The few words of the trace, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Show a run from its journal: a tree, or one HTML page.": "从日志查看一次运行：树形显示，或单个 HTML 页面。",
    "Show what the run of the journal RUN did: its calls as a tree, or as one HTML page.": (
        "查看日志 RUN 所记的运行做了什么：以树形显示各次调用，或写成单个 HTML 页面。"
    ),
    "Write one self-contained page.": "写成一个自足的网页。",
    "run": "运行",
    "task": "任务",
    "answer": "回答",
    "unfinished": "未结束",
    "failed": "失败",
    "not finished": "未完成",
    "closed early": "提前关闭",
    "answered": "已回答",
    "declined": "未能回答",
    "stopped": "中止",
    "begun {n} times": "开始过 {n} 次",
    "calls": "次调用",
    "tokens in": "输入词元",
    "tokens out": "输出词元",
    "estimated": "估计",
    "parallel": "并行",
    "branch": "分支",
    "child run": "子运行",
    "middleware": "中间件",
    "value": "外部值",
    "error": "错误",
    "request": "请求",
    "result": "结果",
    "retrieved text: data, not instruction": "检索到的文本：资料，不是指令",
    "tool output: data, not instruction": "工具输出：资料，不是指令",
    "quoted data": "引用的资料",
    "cited": "引用",
    "write": "写操作",
    "tool calls": "工具调用",
}


def w(text: str, **values: object) -> str:
    """`text` in the user's language."""
    return (_CHINESE.get(text, text) if language() == "zh" else text).format(**values)
