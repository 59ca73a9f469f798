"""Delete log files that were not written to for some days, and folders without files.

Runs every 15 minutes. The first run is a minute after the start, so that a deploy does not wait for the disk.
Usage: log_groomer.py FOLDER DAYS
"""

import contextlib
import signal
import sys
import time
from pathlib import Path


def groom(folder: Path, oldest: float) -> None:
    """Delete files last written to before `oldest`. Airflow may delete or write them at the same time."""
    for path in sorted(folder.rglob("*"), reverse=True):  # files before the folders that hold them
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < oldest:
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()  # fails unless it is empty
                else:
                    path.unlink()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder, days = Path(sys.argv[1]), int(sys.argv[2])
    time.sleep(60)
    while True:
        groom(folder, time.time() - days * 24 * 3600)
        time.sleep(15 * 60)
