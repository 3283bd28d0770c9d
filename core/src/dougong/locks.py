"""What operating systems disagree about: locking a file, and making a new file's name last."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO


def lock_file(file: IO[bytes]) -> bool:
    """Lock an open file against other processes; False where one has it. The lock goes with the process."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 30)  # beyond the content, so that readers are not locked out
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync_folder(path: Path) -> None:
    """So that the names of new files survive the machine too. Windows has no such thing."""
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
