"""What a real `docker build` leaves out, for ignore files of all kinds.

Recorded from BuildKit (buildx 0.20 on Docker 20.10) and from the classic builder (Docker CLI 28). They
differ only where `classic` says so: inside of a directory that is ignored, the classic builder does not
look for an exception that begins with a wildcard. tests/cluster builds all of this anew.
"""

from dataclasses import dataclass
from typing import Final

FILES: Final = (
    ".env",
    ".hidden/x",
    "Dockerfile",
    "README.md",
    "a.b",
    "a b.txt",
    "aXb",
    "dags/a.py",
    "dags/b.pyc",
    "dags/README.md",
    "dags/team/c.py",
    "dags/team/deep/d.py",
    "dags/team/deep/d.pyc",
    "include/data/big.csv",
    "include/data/small.csv",
    "include/sql/query.sql",
    "logs/x.log",
    "notes[1].txt",
    "notes1.txt",
    "temp1/x",
    "temp2/x",
    "temp10/x",
    "vendor/dags/a.py",
    "größe/注文.csv",
)


@dataclass(frozen=True)
class Case:
    """One ignore file."""

    name: str
    text: str
    left_out: frozenset[str]  # of FILES; all others are sent
    classic: frozenset[str] | None = None  # what the classic builder leaves out, where it differs

    @property
    def left_out_by_classic(self) -> frozenset[str]:
        """What the classic builder leaves out."""
        return self.left_out if self.classic is None else self.classic


def _case(name: str, text: str, left_out: str, classic: str | None = None) -> Case:
    return Case(name, text, _names(left_out), None if classic is None else _names(classic))


def _names(text: str) -> frozenset[str]:
    """Return the names: "a | dags/" is `a` and all in `dags`; "all but ..." is the rest."""
    names = text.removeprefix("all but ").split(" | ") if text else []
    found = frozenset(
        file
        for file in FILES
        if any(file == name or (name.endswith("/") and file.startswith(name)) for name in names)
    )
    return frozenset(FILES) - found if text.startswith("all but ") else found


CASES: Final = (
    _case("empty", "", ""),
    _case("comments and blank lines", "# dags\n\n   \n#include\n", ""),
    _case("a number sign after a blank is no comment", " #include\nlogs\n", "logs/x.log"),
    _case("a directory", "dags/team\n", "dags/team/"),
    _case("a directory with slashes around it", "/dags/team/\n", "dags/team/"),
    _case("names are anchored at the root", "a.py\nteam\n", ""),
    _case(
        "a name in any directory",
        "**/team\n**/README.md\n",
        "README.md | dags/README.md | dags/team/",
    ),
    _case("a star stops at the slash", "*/*.py\n", "dags/a.py"),
    _case("a star matches names with a dot in front", "*\n!dags\n", "all but dags/"),
    _case("a question mark is one character", "temp?\n", "temp1/x | temp2/x"),
    _case("a question mark is no slash", "dags?a.py\n", ""),
    _case("a class", "temp[0-1]\n", "temp1/x"),
    _case("a negated class", "temp[^1]\n", "temp2/x"),
    _case("a class with an exclamation mark is not negated", "temp[!2]\n", "temp2/x"),
    _case("brackets that are meant", "notes\\[1\\].txt\n", "notes[1].txt"),
    _case("a dot is a dot", "a.b\n", "a.b"),
    _case("two stars in the middle", "dags/**/*.pyc\n", "dags/b.pyc | dags/team/deep/d.pyc"),
    _case("two stars at the end", "dags/**\n", "dags/"),
    _case("two stars alone", "**\n", "all but "),
    _case(
        "two stars without a slash",
        "**.py\n",
        "dags/a.py | dags/team/c.py | dags/team/deep/d.py | vendor/dags/a.py",
    ),
    _case("two stars with a name before", "dags**\n", "dags/"),
    _case("everything but one directory", "*\n!dags\n", "all but dags/"),
    _case("everything but one file", "*\n!dags/team/c.py\n", "all but dags/team/c.py"),
    _case(
        "everything, by two stars, but what is needed",
        "**\n!dags/\n!include/\n**/*.pyc\n",
        "all but dags/a.py | dags/README.md | dags/team/c.py | dags/team/deep/d.py | include/",
    ),
    _case("the last pattern wins", "!dags/a.py\ndags\n", "dags/"),
    _case(
        "back in, and out again",
        "dags\n!dags/team\ndags/team/deep\n",
        "dags/a.py | dags/b.pyc | dags/README.md | dags/team/deep/",
    ),
    _case(
        "an exception with wildcards",
        "dags\n!dags/*.py\n",
        "dags/b.pyc | dags/README.md | dags/team/",
    ),
    _case(
        "an exception that begins with wildcards",
        "dags\n!**/*.py\n",
        "dags/b.pyc | dags/README.md | dags/team/deep/d.pyc",
        "dags/",
    ),
    _case(
        "an exception that begins with one star", "include\n!*/sql\n", "include/data/", "include/"
    ),
    _case("an exception for all that is in a directory", "include\n!include/**\n", ""),
    _case("an exception one level deep", "include\n!include/*\n", ""),
    _case("an exception in capitals", "*.md\n!readme.md\n", "README.md"),
    _case(
        "an exception for a directory that is not left out says nothing of what is in it",
        "**/*.py\n!vendor\n",
        "dags/a.py | dags/team/c.py | dags/team/deep/d.py | vendor/dags/a.py",
    ),
    _case("an exception with a blank", "*\n! dags\n", "all but dags/"),
    _case("an exception with a slash in front", "*\n!/dags\n", "all but dags/"),
    _case("the parent of the root", "../dags\n", ""),
    _case("dots in a path", "./dags/../include\n", "include/"),
    _case("the root itself", ".\n/\n", ""),
    _case("blanks around", "  dags/team  \n\tlogs\t\n", "dags/team/ | logs/x.log"),
    _case("a blank in a name", "a b.txt\n", "a b.txt"),
    _case(
        "Windows line ends", "dags\r\n!dags/a.py\r\n", "dags/b.pyc | dags/README.md | dags/team/"
    ),
    _case("a byte order mark", "\ufeffdags\n", "dags/"),
    _case("no line end at the end", "dags", "dags/"),
    _case("names in other scripts", "größe\n", "größe/注文.csv"),
    _case("a star in other scripts", "gr*/*.csv\n", "größe/注文.csv"),
    _case("a plus and brackets are plain", "temp1+\n(dags)\n", ""),
    _case("the Dockerfile and the ignore file", "Dockerfile\n.dockerignore\n", "Dockerfile"),
    _case(
        "as astro dev init makes it",
        "astro\n.git\n.env\nairflow_settings.yaml\nlogs/\n.venv\nairflow.db\nairflow.cfg\n",
        ".env | logs/x.log",
    ),
    _case("gitignore's way to write a directory", "logs/*\n!logs/.gitkeep\n", "logs/x.log"),
    _case("one directory out of many", "vendor\n!vendor/dags\n", ""),
    _case(
        "exceptions inside of an ignored directory only by prefix",
        "include\n!include/data/small.csv\n",
        "include/data/big.csv | include/sql/query.sql",
    ),
    _case(
        "a pattern for files under an ignored directory",
        "*\n!dags\ndags/**/*.pyc\n!dags/team/deep/d.pyc\n",
        "all but dags/a.py | dags/README.md | dags/team/",
    ),
)
