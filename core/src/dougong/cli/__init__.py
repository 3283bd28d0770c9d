"""The ``dougong`` command. Subcommands load when they are called; each lives in a file of its own."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from dougong.messages import t

# Name to help line; `dougong --help` imports none of them.
_COMMANDS = {
    "ask": "Ask a question of a folder of documents; answers with citations.",
    "index": "Bring a config's libraries up to date with their sources.",
    "run": "Give a task to what a config describes.",
    "check": "Check a config; reports every mistake with its line and cure.",
    "show": "Show what a config resolves to: a tree, YAML with defaults, or a graph.",
    "plugins": "List the techniques that are installed.",
    "lock": "Write down the exact distributions that a config needs.",
    "schema": "Write the JSON Schema of all that is installed, for editors.",
    "doctor": "Say what is wrong with this environment, and how to mend it.",
}


class _Group(click.Group):
    """Our commands and those of plugins (entry points ``dougong.commands.v1``), each imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS, *sorted(set(self._plugged()) - set(_COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _COMMANDS:
            command: click.Command = import_module(f"dougong.cli.{name}").command
            return command
        return self._plugin_command(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(t("Commands")):
            formatter.write_dl([(name, t(line)) for name, line in _COMMANDS.items()])
        plugged = self._plugged()
        if plugged:
            with formatter.section(t("Commands of plugins")):
                formatter.write_dl([(name, entry.origin) for name, entry in plugged.items()])

    def _plugged(self) -> dict[str, Any]:
        from dougong.discovery import COMMANDS, discover

        return {entry.name: entry for entry in discover() if entry.group == COMMANDS}

    def _plugin_command(self, name: str) -> click.Command | None:
        from dougong.errors import PluginError

        entry = self._plugged().get(name)
        if entry is None:
            return None
        module, _, attribute = entry.module.partition(":")
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except KeyboardInterrupt:
            raise
        except BaseException as reason:
            raise PluginError(
                t("the plugin is broken: {reason}", reason=f"{type(reason).__name__}: {reason}"),
                hint=t("upgrade or uninstall it, or tell its author"),
                technique=name,
                distribution=entry.origin,
            ) from reason
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dougong", message="dougong %(version)s")
def cli() -> None:
    """dougong: every technique of the large-language-model field a plugin, every system one config file."""


def main() -> NoReturn:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad usage or config, 130 interrupted."""
    try:
        code = cli.main(standalone_mode=False) or 0
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
    sys.stdout.flush()
    if code == 130:
        os._exit(code)  # worker threads may still be in a call that cannot be interrupted
    sys.exit(code)


def _usage(error: click.UsageError) -> None:
    message = error.format_message()
    if isinstance(error, click.MissingParameter) and error.param is not None:
        message = t("missing argument {name}", name=error.param.make_metavar(error.ctx))  # type: ignore[arg-type]
    elif isinstance(error, click.NoSuchOption):
        close = f"; {t('did you mean {name}?', name=error.possibilities[0])}" if error.possibilities else ""
        message = t("there is no option {name}", name=error.option_name) + close
    click.echo(f"{t('error')}: {message}", err=True)
    if error.ctx is not None:
        click.echo(t("see '{command} --help'", command=error.ctx.command_path), err=True)


def _failed(error: Exception) -> int:
    from dougong.errors import ConfigError, DougongError, PluginError

    if os.environ.get("DOUGONG_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ConfigError):
        for problem in error.problems:
            click.echo(str(problem), err=True)
        return 2
    if isinstance(error, DougongError):
        click.echo(f"{t('error')}: {error}", err=True)
        return 2 if isinstance(error, PluginError) else 1
    click.echo(
        t("internal error: {reason}; please report it, with the output under DOUGONG_DEBUG=1",
          reason=f"{type(error).__name__}: {error}"),
        err=True,
    )  # fmt: skip
    return 1


if __name__ == "__main__":
    main()
