"""The few words of the command, in English and Chinese."""

from __future__ import annotations

from dougong.messages import language

_CHINESE = {
    "Train a network by a config; goes on where it was stopped.": "按配置训练网络；中断后从断点继续。",
    "Carry out the training that CONFIG describes (a technique objective.training); a training that was stopped, even "
    "by kill -9, goes on from its last checkpoint to the same weights. In several processes: torchrun "
    "--nproc-per-node N -m dougong train CONFIG.": (
        "执行 CONFIG 描述的训练（技术 objective.training）；被中断（包括 kill -9）的训练会从最近的检查点继续，"
        "得到相同的权重。多进程运行：torchrun --nproc-per-node N -m dougong train CONFIG。"
    ),
    "Name of the training in the config, where there are several.": "配置中有多个训练时，指定其名称。",
    "Say what it would take, and stop.": "只说明所需资源，然后停止。",
    "Start anew: the checkpoints in the folder are removed.": "重新开始：删除该文件夹中的检查点。",
    "parameters": "参数",
    "trained": "训练",
    "steps": "步数",
    "tokens a step": "每步词元",
    "tokens in all": "总词元",
    "weights": "权重",
    "gradients": "梯度",
    "optimizer": "优化器",
    "activations of a batch": "每批激活值",
    "memory in all": "内存合计",
    "unknown": "未知",
    "going on from step {step}": "从第 {step} 步继续",
    "trained {steps} steps; the network is in {out}": "已训练 {steps} 步；网络在 {out}",
}


def w(text: str, **values: object) -> str:
    """`text` in the user's language."""
    return (_CHINESE.get(text, text) if language() == "zh" else text).format(**values)
