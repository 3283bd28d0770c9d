"""A MkDocs hook: writes the reference pages from docstrings, click's help and the plugins of this repository.

``mkdocs.yml`` names this file under ``hooks``. The pages exist only in the built site.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["DOUGONG_LANG"] = "en"  # before dougong's messages are read: help texts are translated when they are made

import attrs
import click
import dougong
import dougong.testing
from dougong import errors, hookspecs, kinds, types
from dougong.cli import cli
from dougong.cli.plugins import _default, _type_name
from dougong.discovery import COMMANDS, GROUP, discover
from dougong.params import fields_of
from dougong.registry import Registry
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
WINGS = {
    "Knowledge": ("loader", "tokenizer", "chunker", "embedder", "retriever"),
    "Agents": ("llm", "tool", "pattern", "middleware"),
    "Models": ("block", "network", "cache", "adapter", "objective"),
}


def on_files(files: Files, config: Any) -> Files:
    """Called by MkDocs once it has found the written pages."""
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=make()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Called by MkDocs for each page: fills in the recipes, by their own first lines, and the techniques of a kind."""
    markdown = re.sub(r"<!-- techniques of (\w+) -->", lambda match: names(match[1]), markdown)
    return markdown.replace("<!-- recipes -->", recipes())


def names(kind: str) -> str:
    """The techniques of `kind` in this repository, by their short names."""
    ours = distributions()
    found = {entry.name.partition(".")[2] for entry in discover() if entry.kind == kind and entry.distribution in ours}
    return " ".join(f"`{name}`" for name in sorted(found)) or "none yet"


def recipes() -> str:
    """A table of the files in ``docs/recipes``: what the comment at the top of each says, up to its command."""
    rows = ["| file | shows |", "|---|---|"]
    for file in sorted((ROOT / "docs" / "recipes").glob("*.yaml")):
        top = re.match(r"(?:#.*\n)*", file.read_text("utf-8"))
        said = " ".join(line.lstrip("# ") for line in (top[0] if top else "").splitlines())
        said = re.split(r":? *(?:, then *)?(?=dougong \w+ docs/)", said)[0]
        rows.append(f"| [{file.name}](recipes/{file.name}) | {inline(said)} |")
    return "\n".join(rows)


# ---------------------------------------------------------------- pages


def hooks() -> str:
    """The declaring hooks, and the two that are called at each build."""
    lines = [
        "# Hooks", "",
        "A plugin marks functions of these names with `@dougong.hookimpl`. A declaring hook is called once, when the "
        "plugin is first used; the build hooks at each build. Nothing at run time goes through hooks.", "",
    ]  # fmt: skip
    for name, function in vars(hookspecs).items():
        if name.startswith("dougong_"):
            lines += [f"## {name}", "", shown(name, function), "", prose(function), ""]
    return "\n".join(lines)


def kinds_page() -> str:
    """Every protocol with its whole docstring, by wing."""
    lines = [
        "# Protocols",
        "",
        "As they stand in `dougong.kinds`. [Kinds](../kinds.md) explains them with examples.",
        "",
    ]
    members = {name: value for name, value in vars(kinds).items() if getattr(value, "_is_protocol", False)}
    members = {name: value for name, value in members.items() if value.__module__ == kinds.__name__}
    for name, protocol in members.items():
        lines += [f"## {name}", "", prose(protocol), "", f"```python\n{without_docstring(protocol)}\n```", ""]
    return "\n".join(lines)


def types_page() -> str:
    """Every value of `dougong.types`."""
    lines = ["# Values", "", prose(types), ""]
    for name, value in vars(types).items():
        if inspect.isclass(value) and value.__module__.startswith("dougong.") and not name.startswith("_"):
            lines += [f"## {name}", "", prose(value), ""]
            if attrs.has(value):
                lines += [f"```python\n{fields(value)}\n```", ""]
            for member, method in own_methods(value):
                lines += [
                    f"### {name}.{member}",
                    "",
                    f"```python\n{signature(member, method)}\n```",
                    "",
                    prose(method),
                    "",
                ]
    return "\n".join(lines)


def python() -> str:
    """What is called from Python."""
    lines = ["# From Python", "", "Everything here is imported from `dougong`.", ""]
    for name in ("load", "make", "tool", "where", "slot", "report", "estimate_tokens"):
        function = getattr(dougong, name)
        lines += [f"## {name}", "", shown(name, function), "", prose(function), ""]
    for name in ("Assembly", "Run", "Technique"):
        value = getattr(dougong, name)
        lines += [f"## {name}", "", prose(value), ""]
        for member, method in own_methods(value):
            lines += [f"### {name}.{member}", "", shown(member, method), "", prose(method), ""]
    lines += ["## Errors", "", prose(errors.DougongError), ""]
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, Exception) and value is not errors.DougongError:
            lines += [f"### {name}", "", f"A kind of `{value.__base__.__name__}`. {prose(value)}", ""]
    return "\n".join(lines)


def testing() -> str:
    """The conformance suites, each with its checks; then the parts to test with."""
    suites, parts = [], []
    for name in dougong.testing.__all__:
        value = getattr(dougong.testing, name)
        (suites if name.endswith("Conformance") else parts).append((name, value))
    lines = [
        "# Testing",
        "",
        "All of it is imported from `dougong.testing`. How to use it: [The conformance kit](../kit.md).",
        "",
    ]
    base = dict(suites)["Conformance"]
    for name, suite in [("Conformance", base), *(pair for pair in suites if pair[1] is not base)]:
        parents = [parent.__name__ for parent in suite.__mro__[1:-1] if parent.__name__ in dict(suites)]
        also = ", ".join(f"[{parent}](#{parent.lower()})" for parent in parents)
        checks = f"Its checks, besides those of {also}:" if also else "Its checks:"
        lines += [f"## {name}", "", prose(suite), "", checks, ""]
        for check, function in vars(suite).items():
            if check.startswith("test_"):
                title = check.removeprefix("test_").replace("_", " ")
                lines.append(f"- *{title}*: {inline(inspect.getdoc(function) or '')}")
        lines.append("")
    lines += ["## Parts", ""]
    for name, value in parts:
        if inspect.isclass(value) or inspect.isfunction(value):
            lines += [f"### {name}", "", prose(value), ""]
        else:
            lines += [f"### {name}", "", f"A constant, of type `{type(value).__name__}`.", ""]
    return "\n".join(lines)


def commands() -> str:
    """Help of every command, the plugins' included."""
    ours = distributions()
    context = click.Context(cli, info_name="dougong", max_content_width=100, terminal_width=100)
    lines = ["# Commands", "", "Exit codes: 0 done, 1 failed, 2 wrong usage or config, 130 interrupted.", ""]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        origin = next((entry.distribution for entry in discover() if (entry.group, entry.name) == (COMMANDS, name)), "")
        if command is None or (origin and origin not in ours):
            continue
        child = click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100,
                              help_option_names=["-h", "--help"])  # fmt: skip
        lines += [f"## {name}", ""]
        lines += [f"From the plugin `{origin}`.", ""] if origin else []
        lines += [f"```text\n{command.get_help(child)}\n```", ""]
    return "\n".join(lines)


def techniques() -> str:
    """Every technique of the plugins in this repository, by wing and kind, with its parameters."""
    ours, registry = distributions(), Registry()
    found = [entry for entry in discover() if entry.group == GROUP and entry.distribution in ours]
    lines = [
        "# Techniques",
        "",
        "Those of the distributions in this repository; `dougong plugins` lists what you have installed.",
        "",
    ]
    for wing, members in WINGS.items():
        lines += [f"## {wing}", ""]
        for kind in members:
            for entry in sorted(entry for entry in found if entry.kind == kind):
                technique = registry.find(entry.name).technique
                origin = f"`pip install {entry.distribution}` · source: {inline(technique.source)}"
                lines += [f"### {entry.name}", "", inline(technique.summary), "", origin, ""]
                lines += [parameters(technique.params), ""]
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {
    "techniques": techniques,
    "commands": commands,
    "python": python,
    "kinds": kinds_page,
    "types": types_page,
    "hooks": hooks,
    "testing": testing,
}

# ---------------------------------------------------------------- parts of pages


def distributions() -> set[str]:
    """Names of the distributions in this repository."""
    files = [*ROOT.glob("plugins/*/*/pyproject.toml"), *ROOT.glob("contrib/*/pyproject.toml")]
    return {tomllib.loads(file.read_text("utf-8"))["project"]["name"] for file in files}


def parameters(params: type) -> str:
    """The docstring of a params class, and a table of its fields."""
    rows = [f"| `{name}` | {code(_type_name(field.type))} | {code(_default(field.default))} |"
            for name, field in fields_of(params).items()]  # fmt: skip
    table = "\n".join(["| parameter | type | default |", "|---|---|---|", *rows]) if rows else "No parameters."
    return f"{prose(params)}\n\n{table}"


def code(text: str) -> str:
    """`text` as code in a cell of a table."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")
    return f"<code>{escaped}</code>"


def signature(name: str, function: Any) -> str:
    """``def`` and the arguments, a line each where one line is too long."""
    target = function.fget if isinstance(function, property) else function
    line = f"def {name}{inspect.signature(target)}".replace("'", "")
    line = re.sub(r"(?:dougong|collections|typing)\.(?:\w+\.)*(?=\w)", "", line)
    if len(line) <= 100:
        return line
    head, _, rest = line.partition("(")
    inside, _, tail = rest.rpartition(")")
    return head + "(\n    " + ",\n    ".join(split(inside)) + ",\n)" + tail


def shown(name: str, function: Any) -> str:
    return f"```python\n{signature(name, function)}\n```"


def split(arguments: str) -> Iterator[str]:
    """At commas that are in no brackets."""
    depth, start = 0, 0
    for at, character in enumerate(arguments):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            yield arguments[start:at].strip()
            start = at + 1
    yield arguments[start:].strip()


def own_methods(value: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that `value` itself defines and documents."""
    for name, member in vars(value).items():
        target = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        wrapped = target.fget if isinstance(target, property) else target
        if not name.startswith("_") and inspect.isfunction(wrapped) and inspect.getdoc(wrapped):
            yield name, target


def fields(value: type) -> str:
    """``name: type = default``, a line each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    return "\n".join(ast.unparse(item) for item in body if isinstance(item, ast.AnnAssign)) or "pass"


def without_docstring(protocol: type) -> str:
    """A protocol's source; its methods on one line each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(protocol))).body[0]
    assert isinstance(tree, ast.ClassDef)
    tree.body = tree.body[1:]
    return ast.unparse(tree)


SECTION = re.compile(r"^(Args|Attributes|Raises|Returns):$")
FIELD = re.compile(r"^(:param )?([\w, *]+): (.+)$")


def prose(thing: Any) -> str:
    """A docstring as Markdown: sections become lists, names in them bold."""
    text = inspect.getdoc(thing.fget if isinstance(thing, property) else thing) or ""
    if inspect.isclass(thing) and thing.__doc__ is None:
        text = ""
    lines: list[str] = []
    inside = False
    for line in text.replace("``", "`").splitlines():
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if SECTION.match(stripped):
            inside = True
            lines += ["", f"{stripped}", ""]
        elif not stripped:
            lines.append("")
        elif inside and indent == 0:
            inside = False
            lines += ["", escaped(stripped)]
        elif (match := FIELD.match(stripped)) and (
            (inside and indent <= 4) or match[1] or (is_params(thing) and names_fields(thing, match[2]))
        ):
            if not lines or not lines[-1].startswith(("- ", "  ")):
                lines.append("")
            lines.append(f"- **{match[2]}**: {escaped(match[3])}")
        elif lines and lines[-1].startswith(("- ", "  ")) and indent > 0:
            lines.append(f"  {escaped(stripped)}")
        elif indent >= 4 and not inside and not is_params(thing):
            lines.append(line)  # code
        else:
            lines.append(escaped(stripped))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def is_params(thing: Any) -> bool:
    return inspect.isclass(thing) and attrs.has(thing)


def names_fields(params: type, names: str) -> bool:
    known = {field.name for field in attrs.fields(params)}
    return all(name.strip() in known for name in names.split(","))


def inline(text: str) -> str:
    return escaped(" ".join(text.replace("``", "`").split()))


def escaped(text: str) -> str:
    """What Markdown would take for markup, outside code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if number % 2 else re.sub(r"([<*\[\]])", r"\\\1", part) for number, part in enumerate(parts))
