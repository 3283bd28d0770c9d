"""Environments and wheels without network: what is installed here, linked into another environment or packed again."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import venv
import zipfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dougong.distributions import closure

TECHNIQUE = '''
import attrs
from dougong import Chunker, Pattern, Answer, Technique, hookimpl, slot
from typing import Any

@attrs.frozen
class Params:
    """None."""
{fields}

class Thing:
    def __init__(self, params): self.params = params
    def chunk(self, document): return iter(())
    def run(self, task, run): return Answer(task.upper())

@hookimpl
def dougong_{kind}s():
    return [Technique("{name}", Params, "{module}:Thing", summary="{name}", source="none")]
'''


def environment(folder: Path, names: Iterable[str]) -> Path:
    """The Python of a new environment that has `names` and what they require, linked from this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    link(site, closure(names)[0])
    return folder / "bin" / "python"


def link(site: Path, names: Iterable[str]) -> None:
    """Link distributions of this environment into `site`; of an editable one, the source."""
    for name in names:
        found = metadata.distribution(name)
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            if not top.endswith(".pth") and not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            for package in Path(url2pathname(urlsplit(origin["url"]).path), "src").iterdir():
                if not (site / package.name).exists():
                    (site / package.name).symlink_to(package)


def pack(house: Path, name: str) -> Path:
    """An installed distribution as the wheel that it came from; `house` is the folder."""
    found = metadata.distribution(name)
    tags = [line.partition(": ")[2] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag")]
    parts = [sorted(set(column)) for column in zip(*(tag.split("-") for tag in tags), strict=True)]
    tag = "-".join(".".join(column) for column in parts)
    skipped = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
    files = {
        file.as_posix(): Path(str(found.locate_file(file)))
        for file in found.files or ()
        if file.parts[0] != ".." and "__pycache__" not in file.parts and file.name not in skipped
    }
    (info,) = {place for place, _, file in (name.partition("/") for name in files) if file == "METADATA"}
    wheel = house / f"{found.name.replace('-', '_')}-{found.version}-{tag}.whl"
    _write(wheel, info, {name: path.read_bytes() for name, path in files.items()})
    return wheel


def build(
    house: Path, name: str, version: str, technique: str, fields: str = "", requires: Iterable[str] = (), **more: str
) -> Path:
    """A wheel that declares `technique`; `fields` are lines of its params class, `more` further entry points."""
    module, (kind, _, short) = name.replace("-", "_"), technique.partition(".")
    info = f"{module}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    points = {technique: module, **more}
    body = TECHNIQUE.format(fields="".join(f"    {line}\n" for line in fields.splitlines()), kind=kind, name=short,
                            module=module)  # fmt: skip
    wheel = house / f"{module}-{version}-py3-none-any.whl"
    files = {
        f"{module}.py": body,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[dougong.v1]\n" + "".join(f"{key} = {value}\n" for key, value in points.items()),
    }
    _write(wheel, info, {name: text.encode() for name, text in files.items()})
    return wheel


def _write(wheel: Path, info: str, files: Mapping[str, bytes]) -> None:
    os.makedirs(wheel.parent, exist_ok=True)
    record = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}\n")
        archive.writestr(f"{info}/RECORD", "".join([*record, f"{info}/RECORD,,\n"]))
