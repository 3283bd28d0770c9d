"""The ``dougong`` command. Subcommands load when they are called; each lives in a file of its own."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dougong.messages import known, t

if TYPE_CHECKING:
    from dougong.discovery import Entry

# Name to help line; `dougong --help` imports none of them.
_COMMANDS = {
    "ask": "Ask a question of a folder of documents; answers with citations.",
    "index": "Bring a config's libraries up to date with their sources.",
    "run": "Give a task to what a config describes.",
    "chat": "Talk with what a config describes.",
    "replay": "Play a run again from its journal, with no model and no network.",
    "check": "Check a config; reports every mistake with its line and cure.",
    "show": "Show what a config resolves to: a tree, YAML with defaults, or a graph.",
    "plugins": "List the techniques that are installed.",
    "new": "Make a package for a plugin of your own.",
    "sync": "Install the distributions that a config names.",
    "lock": "Write down the exact distributions that a config needs.",
    "bundle": "Pack a config with all it needs into one archive for a machine without network.",
    "schema": "Write the JSON Schema of all that is installed, for editors.",
    "doctor": "Say what is wrong with this environment, and how to mend it.",
}


class _Formatter(click.HelpFormatter):
    """Click's own words in the user's language."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        super().write_usage(prog, args, t("Usage: "))

    def write_heading(self, heading: str) -> None:
        super().write_heading(known(heading))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl([(name, known(text)) for name, text in rows], col_max, col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


def _translated(command: click.Command) -> click.Command:
    command.context_class = _Context
    command.help = known(inspect.cleandoc(command.help or ""))
    return command


class _Group(click.Group):
    """Our commands and those of plugins (entry points ``dougong.commands.v1``), each imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *sorted(set(self._plugged()) - set(_COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _COMMANDS:
            return _translated(import_module(f"dougong.cli.{name}").command)
        entry = self._plugged().get(name)
        return _translated(load_command(entry)) if entry else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1, 0.6)
            hint = "; " + t("did you mean '{name}'?", name=close[0]) if close else ""
            raise click.UsageError(t("there is no command '{name}'", name=args[0]) + hint, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(t("Commands")):
            formatter.write_dl([(name, t(line)) for name, line in _COMMANDS.items()])
        plugged = self._plugged()
        if plugged:
            with formatter.section(t("Commands of plugins")):
                formatter.write_dl([(name, entry.origin) for name, entry in plugged.items()])

    def _plugged(self) -> dict[str, Entry]:
        from dougong.discovery import COMMANDS, discover

        return {entry.name: entry for entry in discover() if entry.group == COMMANDS}


def load_command(entry: Entry) -> click.Command:
    """A plugin's command. Raises PluginError where it is broken."""
    from dougong.errors import PluginError

    module, _, attribute = entry.module.partition(":")
    try:
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(t("{what} is no click command", what=entry.module))
    except KeyboardInterrupt:
        raise
    except BaseException as reason:  # it may even call sys.exit while it is imported
        raise PluginError(
            t("the plugin is broken: {reason}", reason=f"{type(reason).__name__}: {reason}"),
            hint=t("upgrade or uninstall it, or tell its author"),
            technique=entry.name,
            distribution=entry.origin,
        ) from reason
    return command


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="dougong", message="dougong %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """dougong: every technique of the large-language-model field a plugin, every system one config file."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad usage or config, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal cannot show is escaped, not an error
            stream.reconfigure(errors="backslashreplace")
    _translated(cli)
    try:
        code = cli.main(prog_name="dougong", standalone_mode=False) or 0
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(t("interrupted"), err=True)
        code = 130
    except click.UsageError as error:
        _usage(error)
        code = 2
    except click.ClickException as error:
        click.echo(f"{t('error')}: {error.format_message()}", err=True)
        code = 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        code = _failed(error)
    if code == 130:
        os._exit(code)  # worker threads may still be in a call that cannot be interrupted
    sys.exit(code)


def _usage(error: click.UsageError) -> None:
    message = error.format_message()
    if isinstance(error, click.MissingParameter) and error.param is not None:
        message = t("missing argument {name}", name=error.param.human_readable_name)
    elif isinstance(error, click.NoSuchOption):
        close = "; " + t("did you mean '{name}'?", name=error.possibilities[0]) if error.possibilities else ""
        message = t("there is no option {name}", name=error.option_name) + close
    click.echo(f"{t('error')}: {message}", err=True)
    if error.ctx is not None:
        click.echo(t("see '{command} --help'", command=error.ctx.command_path), err=True)


def _failed(error: Exception) -> int:
    from dougong.cli.output import echo
    from dougong.errors import ConfigError, DougongError, PluginError

    if os.environ.get("DOUGONG_DEBUG"):
        import traceback

        echo("".join(traceback.format_exception(error)), err=True)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            echo(str(problem), err=True)
        return 2
    if isinstance(error, DougongError):
        echo(f"{t('error')}: {error}", err=True)
        return 2 if isinstance(error, PluginError) else 1
    if isinstance(error, OSError) and error.strerror:
        echo(": ".join(str(part) for part in (t("error"), error.filename, error.strerror) if part), err=True)
        return 1
    echo(
        t("internal error: {reason}; please report it, with the output under DOUGONG_DEBUG=1",
          reason=f"{type(error).__name__}: {error}"),
        err=True,
    )  # fmt: skip
    return 1


if __name__ == "__main__":
    main()
