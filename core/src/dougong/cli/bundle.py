"""``dougong bundle CONFIG``: one archive from which a machine without network answers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

from dougong.cli.sync import only_options, pip_arguments
from dougong.messages import t

if TYPE_CHECKING:
    from dougong.assemble import Assembly
    from dougong.plan import Document

_RUN = Path(__file__).with_name("bundle_run.py")
_SKIPPED = ("__pycache__", "node_modules")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@click.command(short_help=t("Pack a config with all it needs into one archive for a machine without network."))
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help=t("The archive; by default CONFIG's name, .zip."))
@click.option("--library", is_flag=True, help=t("Also the folders that the config names: sources, built libraries."))
@click.option("--plugin", "plugins", multiple=True, metavar="FILE", help=t("A local plugin file that it uses."))
@pip_arguments
def command(
    config: Path, output: Path | None, library: bool, plugins: tuple[str, ...], pip_args: tuple[str, ...]
) -> None:
    """Write an archive of CONFIG, the files that it names, and the wheels that it needs, and of nothing else.

    On another machine of this kind, with Python and no network: unzip it, then 'python NAME/run.py "question"'. Values
    of environment variables are never in it. What stands after '--' goes to 'pip wheel'.
    """
    from dougong.assemble import Assembly, read_tree
    from dougong.distributions import closure
    from dougong.environment import filled, needs, stand_ins, variables
    from dougong.errors import ConfigError, PluginError
    from dougong.kinds import Library
    from dougong.lock import lock, lock_path, verify
    from dougong.registry import Registry

    only_options(pip_args)
    config = Path(os.path.relpath(config))  # so that a path of the config is absolute only where it is written so
    output = output or Path(f"{config.stem}.zip")
    tree = read_tree(config)
    registry = Registry(files=map(Path, plugins))
    with filled(stand_ins(tree, registry)):
        assembly = Assembly(tree, registry)
        if lock_path(config).exists():
            verify(assembly, config)
        wanted = needs(tree, registry)
        files, left_out = _files(config, assembly.document, library)
    have, absent = closure(need.distribution for need in wanted.values())
    if absent:
        names = ", ".join(f"{name} ({owner})" if owner else name for name, owner in absent.items())
        raise ConfigError([PluginError(t("not installed: {names}", names=names), hint=f"dougong sync {config}")])
    with tempfile.TemporaryDirectory() as folder:
        wheels = _wheels(Path(folder), [need.distribution for need in wanted.values()], have, pip_args)
        top = os.path.commonpath([os.path.abspath(path) for path in [config.parent, *files]])
        place = Path(os.path.relpath(config, top)).as_posix()
        versions = {_normal(wheel)[0]: _normal(wheel)[1] for wheel in wheels}
        facts = {
            "config": f"config/{place}",
            "plugins": [f"plugins/{Path(file).name}" for file in plugins],
            "environment": [name for name, needed in variables(tree).items() if needed],
            "runs": _runs(assembly.document),
            "libraries": any(Library in plan.loaded.protocol.__mro__ for plan in assembly.plans()),
            **_platform(wheels),
        }
        members: dict[str, Path | str] = {
            "README.md": _readme(output.stem, facts),
            "bundle.json": json.dumps(facts, indent=2) + "\n",
            "run.py": _RUN,
            "requirements.txt": "".join(f"{'=='.join(_normal(w)[:2])} --hash=sha256:{_sha(w)}\n" for w in wheels),
            f"config/{place}.lock": json.dumps({**lock(assembly), "distributions": versions}, indent=2) + "\n",
            **{f"config/{Path(os.path.relpath(path, top)).as_posix()}": path for path in (config, *files)},
            **{f"plugins/{Path(file).name}": Path(file) for file in plugins},
            **{f"wheels/{wheel.name}": wheel for wheel in wheels},
        }
        members.pop(f"config/{Path(os.path.relpath(output, top)).as_posix()}", None)  # an archive of last time
        _write(output, members)
    for path, reason in [*left_out, *_open(assembly)]:
        click.echo(t("left out: {path}: {reason}", path=path, reason=reason), err=True)
    click.echo(t("{output}: {wheels} wheels, {files} files, {size:.1f} MB; for {platform}", output=output,
                 wheels=len(wheels), files=1 + len(files), size=output.stat().st_size / 1e6,
                 platform=facts["for"]))  # fmt: skip
    click.echo(f"unzip {output.name} && python {output.stem}/run.py " + ('"..."' if facts["runs"] else ""))


def _runs(document: Document) -> bool:
    from dougong.kinds import Pattern

    return "main" in document.plans and Pattern in document.plans["main"].loaded.protocol.__mro__


# ---------------------------------------------------------------- files


def _files(config: Path, document: Document, library: bool) -> tuple[list[Path], list[tuple[str, str]]]:
    """Files that the config's params name, those below its folders with `library`; and what is left out, and why."""
    from dougong.environment import paths

    found: dict[Path, None] = {}
    left_out: list[tuple[str, str]] = []
    for name, path, _ in paths(document):
        if not path.exists():
            continue
        if path.is_absolute():
            left_out.append((f"{name}: {path}", t("an absolute path; write it relative to the config")))
        elif path.is_file():
            found[path] = None
        elif library:
            found.update(dict.fromkeys(_below(path)))
        else:
            left_out.append((f"{name}: {path}", t("a folder; --library takes it along")))
    return sorted(found), sorted(set(left_out))


def _open(assembly: Assembly) -> Iterator[tuple[str, str]]:
    """Techniques that choose among others of their own kind, with none given: they may take what is installed."""
    from dougong.known import slots

    for plan in assembly.plans():
        for name, shape in slots(plan.loaded.technique.params).items():
            if shape == [plan.loaded.kind] and not plan.values[name]:
                yield f"{plan.path}.{name}", t("it is empty; name in the config what belongs there")


def _below(folder: Path) -> Iterator[Path]:
    """Regular files below a folder; hidden ones and links are left out, as a library does."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in names:
            path = Path(parent) / name
            if not name.startswith(".") and not path.is_symlink():
                yield path


def _write(output: Path, members: dict[str, Path | str]) -> None:
    """The same members give the same bytes: sorted, of one time, of one mode."""
    part = output.with_name(output.name + ".part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name, content in sorted(members.items()):
                info = zipfile.ZipInfo(f"{output.stem}/{name}", _EPOCH)
                info.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
                info.external_attr = 0o100644 << 16
                source = io.BytesIO(content.encode()) if isinstance(content, str) else content.open("rb")
                with source, archive.open(info, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


# ---------------------------------------------------------------- wheels


def _wheels(folder: Path, roots: Sequence[str], have: dict[str, str], pip_args: Sequence[str]) -> list[Path]:
    """Wheels of `roots` and of all that they require here, of the installed versions.

    What was installed from a folder, an address or a repository is built from there, all else comes from the index.
    """
    from dougong.distributions import canonical, pip

    origins = {name: origin for name in have if (origin := _origin(name))}
    own, all_of_them = folder / "own", folder / "all"
    cure = t("where there is no network, say where wheels lie: '-- --no-index --find-links FOLDER'")
    click.echo(t("{count} distributions; making wheels of {own}, looking for the others", count=len(have),
                 own=len(origins)), err=True)  # fmt: skip
    if origins:
        here = all(map(_can_build, origins.values()))  # else pip fetches the build tools
        pip(["wheel", "-qq", "--no-deps", *(["--no-build-isolation"] if here else []), "--wheel-dir", str(own),
             *origins.values(), *pip_args], cure)  # fmt: skip
    pins = folder / "constraints.txt"
    pins.write_text("".join(f"{n}=={v}\n" for n, v in have.items() if n not in origins), encoding="utf-8")
    named = [f"{name}=={have[canonical(name)]}" for name in roots if canonical(name) not in origins]
    pip(["wheel", "-qq", "--constraint", str(pins), "--wheel-dir", str(all_of_them),
         *named, *map(str, sorted(own.glob("*.whl"))), *pip_args], cure)  # fmt: skip
    return sorted(all_of_them.glob("*.whl"))


def _origin(name: str) -> str:
    """What pip would install again to get a distribution that came from no index; empty for one that did."""
    text = metadata.distribution(name).read_text("direct_url.json")
    if not text:
        return ""
    data: dict[str, Any] = json.loads(text)
    if vcs := data.get("vcs_info"):
        return f"{vcs['vcs']}+{data['url']}@{vcs['commit_id']}"
    return str(data["url"])


def _can_build(address: str) -> bool:
    """Whether `address` is a folder whose build tools are installed."""
    from dougong.distributions import installed

    file = Path(url2pathname(urlsplit(address).path), "pyproject.toml")
    if not address.startswith("file:") or not file.is_file():
        return False
    tools = tomllib.loads(file.read_text(encoding="utf-8")).get("build-system", {}).get("requires", ["setuptools"])
    return all(installed(match[0]) for tool in tools if (match := re.match(r"[\w.-]+", tool)))


def _normal(wheel: Path) -> tuple[str, str, str, str, str]:
    """Canonical name, version, and the tags of Python, ABI and platform."""
    from dougong.distributions import canonical

    parts = wheel.stem.split("-")
    return canonical(parts[0]), parts[1], parts[-3], parts[-2], parts[-1]


def _sha(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _platform(wheels: Sequence[Path]) -> dict[str, Any]:
    """What the other machine has to be like: for wheels of Python code alone, any machine of a new enough Python."""
    tags = [_normal(wheel)[2:] for wheel in wheels]
    bound = any(abi not in ("none", "abi3") for _, abi, _ in tags)
    python = ".".join(map(str, sys.version_info[:2]))
    platform = sysconfig.get_platform() if any(tag != "any" for _, _, tag in tags) else ""
    made_for = f"Python {python}" + ("" if bound else "+")
    return {"python": python, "exact": bound, "platform": platform, "for": f"{made_for} {platform or 'any'}".strip()}


def _readme(name: str, facts: dict[str, Any]) -> str:
    needed = "".join(f"- `{variable}`\n" for variable in facts["environment"])
    environment = f"\nSet before running, 运行前须设置：\n\n{needed}" if needed else ""
    return (
        f"# {name}\n\nMade by `dougong bundle`. Needs {facts['for']}, and no network. "
        f"由 `dougong bundle` 生成，需要 {facts['for']}，不需要网络。\n\n"
        f'```\npython run.py "question 问题"\n```\n{environment}\n'
        "The first call makes `.venv` beside this file from `wheels/`; later calls use it. "
        "首次运行在此处建立 `.venv`，之后直接使用。\n"
    )
