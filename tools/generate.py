"""Write the files that are generated from the code, or list those that are out of date.

python -m tools.generate [--check]
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from astro_pulumi.pulumi_plugin import schema
from tools import arguments_page, lint_page

ROOT: Final = Path(__file__).parents[1]
# Each function takes the file's current text and returns the generated one.
FILES: Final[Mapping[str, Callable[[str], str]]] = {
    "schema.json": lambda _: schema(),
    "docs/arguments.md": lambda _: arguments_page.page(),
    "docs/lint.md": lint_page.with_tables,
}


def main() -> int:
    """Write the files. With `--check`, only compare them."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail on differences")
    only_check = parser.parse_args().check
    outdated = []
    for name, right in FILES.items():
        file = ROOT / name
        present = file.read_text()
        if (text := right(present)) != present:
            outdated.append(name)
            if not only_check:
                file.write_text(text)
    if outdated and only_check:
        sys.stderr.write(f"out of date: {', '.join(outdated)}. Run `make generate`.\n")
        return 1
    for name in outdated:
        sys.stdout.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
