"""Techniques that exist, installed or not: ``known.json``, written when core is released, and indexes of your own.

``DOUGONG_INDEX`` lists further index files (``os.pathsep`` between them). None is fetched from anywhere.
``python -m dougong.known FILE FOLDER...`` writes one of the plugins whose source lies below the folders.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
import tomllib
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from dougong.errors import ConfigError, Place, PluginError
from dougong.messages import t
from dougong.params import fields_of, slot_protocol, unwrapped
from dougong.technique import Use

_CHINESE = {
    "loader": "加载 读取 文档", "tokenizer": "分词 词元", "chunker": "切分 分块 切块", "embedder": "嵌入 向量",
    "retriever": "检索 搜索 索引", "llm": "大模型 语言模型 对话模型", "tool": "工具", "pattern": "模式 智能体 流程",
    "middleware": "中间件", "block": "模块 层 注意力", "network": "网络 模型", "cache": "缓存",
    "adapter": "适配器 微调", "objective": "目标 训练 损失",
}  # fmt: skip
"""What a kind is searched by in Chinese: the summaries are English."""


@attrs.frozen
class Known:
    """A technique of an index.

    Attributes:
        name: full name.
        slots: kinds that its params take: ``"llm"``; ``["tool"]`` for a list or mapping of them; ``{field: ...}``
            for a nested value with slots.
        defaults: what fills a slot unless the config does, as a config would write it.
    """

    name: str
    distribution: str
    summary: str
    source: str
    slots: Mapping[str, Any] = attrs.field(factory=dict)
    defaults: Mapping[str, Any] = attrs.field(factory=dict)

    def matches(self, word: str) -> bool:
        """Whether `word`, in English or Chinese, is in its name, its summary, its source or what its kind is called."""
        kind = self.name.partition(".")[0]
        return word.lower() in f"{self.name} {self.summary} {self.source} {_CHINESE.get(kind, '')}".lower()


@cache
def index() -> dict[str, Known]:
    """Every known technique by full name; of two of one name the first. Raises ConfigError for a bad index file."""
    files = [Path(__file__).with_name("known.json")]
    files += [Path(name) for name in os.environ.get("DOUGONG_INDEX", "").split(os.pathsep) if name]
    found: dict[str, Known] = {}
    for file in files:
        try:
            for row in json.loads(file.read_text(encoding="utf-8")):
                found.setdefault(row["name"], Known(**row))
        except OSError as error:
            reason = t("cannot read the index: {reason}", reason=error.strerror or error)
            raise ConfigError(reason, place=Place(str(file)), hint=t("correct DOUGONG_INDEX")) from None
        except (ValueError, TypeError, KeyError):
            hint = t("write it by 'python -m dougong.known FILE FOLDER'")
            raise ConfigError(t("this is no index of techniques"), place=Place(str(file)), hint=hint) from None
    return dict(sorted(found.items()))


def close(kind: str, short: str, names: Iterable[str] = (), likeness: float = 0.6) -> str:
    """The short name of `kind`, among `names` and what is known, that `short` may be a slip of; else empty."""
    known = [name.partition(".")[2] for name in index() if name.startswith(f"{kind}.")]
    return next(iter(difflib.get_close_matches(short, sorted({*names, *known}), 1, likeness)), "")


def cure(kind: str, short: str, names: Iterable[str] = ()) -> str:
    """What to do about a technique that is not installed; `names` are the installed ones of its kind."""
    if row := index().get(f"{kind}.{short}"):
        return f"pip install {row.distribution}"
    near = close(kind, short, names)
    if not near:
        return f"pip install dougong-{kind}-{short}"
    hint = t("did you mean '{name}'?", name=near)
    return hint if near in names else f"{hint}  pip install {index()[f'{kind}.{near}'].distribution}"


# ---------------------------------------------------------------- what params say of slots


def slots(params: type) -> dict[str, Any]:
    """The slots of a params class, as `Known.slots` writes them."""
    return _fields(params, ())


def defaults(params: type) -> dict[str, Any]:
    """What fills its slots by default, as a config would write it."""
    found = {}
    for name, field in fields_of(params).items():
        default: Any = field.default
        value = default.factory() if isinstance(default, attrs.Factory) and not default.takes_self else default  # type: ignore[arg-type]
        if isinstance(value, Use) or (isinstance(value, (list, tuple)) and any(isinstance(i, Use) for i in value)):
            found[name] = _plain(value)
    return found


def _fields(cls: type, above: tuple[type, ...]) -> dict[str, Any]:
    shapes = {name: _shape(field.type, (*above, cls)) for name, field in fields_of(cls).items()}
    return {name: shape for name, shape in shapes.items() if shape}


def _shape(annotation: Any, above: tuple[type, ...]) -> Any:
    from dougong.kinds import kind_of

    annotation, _ = unwrapped(annotation)
    if (protocol := slot_protocol(annotation)) is not None:
        return kind_of(protocol)
    if isinstance(annotation, type) and attrs.has(annotation):
        return None if annotation in above else _fields(annotation, above)
    arguments = [item for item in typing.get_args(annotation) if item is not Ellipsis]
    inner = _shape(arguments[-1], above) if arguments else None
    return [inner] if inner else None


def _plain(value: Any) -> Any:
    if isinstance(value, Use):
        return {"use": value.name, **{key: _plain(item) for key, item in value.params.items()}}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# ---------------------------------------------------------------- writing an index


def generate(folders: Iterable[Path]) -> tuple[list[dict[str, Any]], list[PluginError]]:
    """The rows of every plugin whose pyproject.toml lies below `folders`, by name, and what is wrong with the others.

    Imports their light modules, installed or not.
    """
    from dougong.discovery import GROUP, Entry
    from dougong.registry import Registry

    entries = []
    for file in sorted(file for folder in folders for file in folder.rglob("pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        points = project.get("entry-points", {}).get(GROUP, {})
        entries += [Entry(GROUP, name, module, project["name"], project["version"]) for name, module in points.items()]
        sys.path.insert(0, str(file.parent / "src"))
    registry = Registry(entries)
    rows, broken = [], []
    for entry in sorted(entries, key=lambda entry: entry.name):
        try:
            technique = registry.find(f"{entry.distribution}:{entry.name}").technique
        except PluginError as error:
            broken.append(error)
            continue
        found = Known(entry.name, entry.distribution, technique.summary, technique.source,
                      slots(technique.params), defaults(technique.params))  # fmt: skip
        rows.append({key: value for key, value in attrs.asdict(found).items() if value})
    return rows, broken


def write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A row a line, so that a change reads as one."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(f"usage: python -m {__spec__.name} FILE FOLDER...")
    found, wrong = generate(map(Path, sys.argv[2:]))
    write(Path(sys.argv[1]), found)
    sys.exit("\n".join(map(str, wrong)) or 0)
