"""Executes a Pulumi program inside its own interpreter: the counterpart of Pulumi's own
`pulumi-language-python-exec`.

Run as a file, not as a module: the program's environment need not contain `astro_pulumi`. What to run,
and the engine's address, come on standard input, once the engine is ready; by then the SDK is loaded.
"""

import sys

sys.path.pop(0)  # this file's directory: its modules must not hide the standard library's

import asyncio
import atexit
import gc
import json
import logging
import os
import runpy
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

try:
    import pulumi
    import pulumi.runtime
except ImportError:
    sys.exit(
        f"{traceback.format_exc()}\nThe Pulumi SDK is not installed for {sys.executable}. Install the "
        "program's requirements there."
    )

SAID_SO = 32
# How many objects more than are freed are made until Python looks for cycles among them; 700 by default.
# What a program declares lives until its end, so that looking finds little, ever more slowly: each of 100
# Deployments took 765 ms of CPU, with this 440, as each of 10 does (`python -m bench.many_deployments`).
COLLECT_AFTER = 200_000


def _user_traceback(program: str) -> str:
    """The traceback from the program's own first line on: what is above it is not the user's."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    root = Path(program).resolve()
    entry = root if root.suffix == ".py" else root / "__main__.py"
    for index, frame in enumerate(frames):
        if Path(frame.filename).resolve() == entry:
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def main() -> int:
    """Runs the program. -> exit code."""
    given = sys.stdin.read()
    if not given:
        return 0  # the engine ended before it came to this
    settings = json.loads(given)
    parallel, program = settings["parallel"], settings["program"]
    pulumi.runtime.set_all_config(settings["config"], settings["secret_keys"])
    names = ("monitor", "engine", "project", "stack", "organization", "root_directory", "dry_run")
    pulumi.runtime.configure(
        pulumi.runtime.Settings(parallel=parallel, **{name: settings[name] for name in names})
    )
    sys.argv = [program]
    os.chdir(settings["directory"])
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=parallel * 4)
    loop.set_default_executor(executor)
    # Futures that nobody waited for are normal when a program ends early.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_user_traceback(program)}")
        return SAID_SO
    finally:
        executor.shutdown(wait=True)
        loop.close()
    return 0


def _end_with(engine: int) -> None:
    """Ends this process when its engine is gone: a killed one leaves no program behind."""
    while os.getppid() == engine:
        time.sleep(1)
    os._exit(1)


def _leave(code: int) -> None:
    """Ends as `sys.exit` does, but for taking down the SDK's large modules one by one: 0.2 s."""
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    gc.freeze()  # the SDK is in use to the end
    gc.set_threshold(COLLECT_AFTER)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _leave(main())
