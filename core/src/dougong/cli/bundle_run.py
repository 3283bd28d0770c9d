"""Made by ``dougong bundle``: python run.py "question". Installs wheels/ into .venv, without network; then answers.

Of the standard library alone, and readable by older Pythons than it asks for, so that they get its message.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".venv")
PYTHON = os.path.join(VENV, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))
DOUGONG = [PYTHON, "-m", "dougong"]


def read(name: str) -> str:
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def say(english: str, chinese: str) -> None:
    names = ("DOUGONG_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
    language = next((os.environ[name] for name in names if os.environ.get(name)), "")
    text = chinese if language.lower().startswith("zh") else english
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def fail(english: str, chinese: str) -> None:
    say("error: " + english, "错误：" + chinese)
    sys.exit(1)


def check(facts: dict[str, Any]) -> None:
    """This machine is like the one that the wheels were made on, and has what the config reads from it."""
    wanted, mine = tuple(map(int, facts["python"].split("."))), sys.version_info[:2]
    if mine < wanted or (facts["exact"] and mine != wanted):
        have, or_newer = "{}.{}".format(*mine), not facts["exact"]
        fail(
            f"this archive needs Python {facts['python']}{' or newer' * or_newer}, this is {have}; use that one",
            f"此包需要 Python {facts['python']}{'或更新' * or_newer}，当前为 {have}；请用所需的版本运行",
        )
    here = sysconfig.get_platform()
    if facts["platform"] not in ("", here):
        fail(
            f"this archive was made for {facts['platform']}, this machine is {here}; make it anew on one of this kind",
            f"此包为 {facts['platform']} 制作，本机为 {here}；请在同类机器上重新制作",
        )
    missing = ", ".join(name for name in facts["environment"] if not os.environ.get(name))
    if missing:
        fail(f"environment variables are not set: {missing}; set them", f"未设置环境变量：{missing}；请先设置")


def install() -> bool:
    """The wheels, each checked against its hash, into .venv. False where that was done before."""
    requirements, ready = read("requirements.txt"), os.path.join(VENV, "ready")
    if os.path.exists(PYTHON) and os.path.exists(ready) and read(ready) == requirements:
        return False
    say("first run: making .venv", "首次运行：建立 .venv")
    try:
        import ensurepip  # noqa: F401 -- Debian leaves it out of its Python
        import venv

        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(VENV)
    except ImportError:
        fail("this Python cannot make virtual environments; on Debian and Ubuntu, apt install python3-venv",
             "此 Python 无法建立虚拟环境；在 Debian 和 Ubuntu 上请 apt install python3-venv")  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        fail(f"cannot make {VENV}: {error}; unzip where you may write", f"无法建立 {VENV}：{error}；请解压到可写的目录")
    command = [PYTHON, "-m", "pip", "--isolated", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--require-hashes", "--find-links", os.path.join(HERE, "wheels")]
    if subprocess.call([*command, "--requirement", os.path.join(HERE, "requirements.txt")]):
        fail("pip could not install the wheels, see above: the archive is damaged, or this system is too old for them",
             "pip 无法安装 wheels（见上文）：文件已损坏，或系统版本过旧")  # fmt: skip
    with open(ready, "w", encoding="utf-8") as file:
        file.write(requirements)
    return True


def main() -> None:
    facts = json.loads(read("bundle.json"))
    check(facts)
    new = install()
    # From the config's folder: its library then finds what it has read under the names that it knows.
    folder, name = os.path.split(os.path.join(HERE, *facts["config"].split("/")))
    config = [name, *(part for file in facts["plugins"] for part in ("--plugin", os.path.join(HERE, file)))]
    if new and facts["libraries"]:
        subprocess.call([*DOUGONG, "index", *config], cwd=folder)
    if facts["runs"] and len(sys.argv) > 1:
        sys.exit(subprocess.call([*DOUGONG, "run", *config, *sys.argv[1:]], cwd=folder))
    ready = 'run.py "..."' if facts["runs"] else f"cd {folder}; " + " ".join([*DOUGONG, "check", *config])
    say(f"ready: {ready}", f"就绪：{ready}")


if __name__ == "__main__":
    main()
