"""Run a Pulumi program or a plugin in its own interpreter, which may lack this repository.

Arguments: the process that started this one, the entry point, the program's arguments. A program's settings
are in the environment variable `SETTINGS`. Without settings, the entry point is a plugin.
"""

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this file's directory: its modules must not hide others

import asyncio
import json
import logging
import os
import runpy
import signal
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SETTINGS = "_PULUMI_PROGRAM_SETTINGS"
EXIT_CODE_OF_SHOWN_ERROR = 32


def _end_with(host: int) -> None:
    """End this process and its descendants when the language host ends."""
    while os.getppid() == host:
        time.sleep(0.25)
    os.killpg(0, signal.SIGKILL)


def _run_program(entry: str, settings: dict[str, Any]) -> int:
    """Run a program connected to the engine, and return the exit code."""
    import pulumi.runtime

    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=settings["parallel"] * 4))
    # If a program ends early, futures without a waiter are normal.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def run() -> None:
        runpy.run_path(entry, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return EXIT_CODE_OF_SHOWN_ERROR
    except Exception as error:
        text = "".join(traceback.format_exception(error, limit=_own_frames(error, entry)))
        pulumi.log.error(f"Program failed with an unhandled exception:\n{text}")
        return EXIT_CODE_OF_SHOWN_ERROR
    return 0


def _own_frames(error: Exception, entry: str) -> int | None:
    """Return the traceback limit that leaves out the frames above the program's first line."""
    root = Path(entry).resolve()
    main = root if root.is_file() else root / "__main__.py"
    files = [Path(frame.filename).resolve() for frame in traceback.extract_tb(error.__traceback__)]
    return files.index(main) - len(files) if main in files else None


def main() -> int:
    """Run the entry point in the arguments, and return the exit code."""
    host, entry = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with, args=(host,), daemon=True).start()
    sys.argv = sys.argv[2:]
    # As if Python had started the entry point: modules beside it can be imported until the end.
    sys.path.insert(0, entry if Path(entry).is_dir() else str(Path(entry).parent))
    settings = os.environ.pop(SETTINGS, "")
    if settings:
        return _run_program(entry, json.loads(settings))
    runpy.run_path(entry, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
