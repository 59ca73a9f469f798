"""Pass secrets, such as the password of a package index, to the installation of requirements.txt.

pulumi-docker has no secret mounts: its session with BuildKit offers registry logins only (provider/image.go).
A declared build argument is in the image's history. Docker's predefined proxy arguments are not: both of its
builders pass them to every RUN, and keep them out of history and cache keys
(https://docs.docker.com/reference/dockerfile/#predefined-args). So all secrets together are packed into
FTP_PROXY, which pip and apt read for `ftp://` addresses only.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from astro_pulumi.project.image_files import REQUIREMENTS
from astro_pulumi.project.requirements import logical_lines

if TYPE_CHECKING:
    from astro_pulumi.project.lint.lint_context import LintContext

CARRIER: Final = "FTP_PROXY"
_MARK: Final = "astro-pulumi:"  # distinguishes the secrets from a proxy that a base image sets
# pip replaces `${NAME}` in requirements.txt for such names only.
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")

# The secrets become environment variables of pip. Python unpacks them: Astro Runtime's shell prints each
# command with its values (`-x`). One line without single quotes, for a RUN instruction.
PIP_WITH_SECRETS: Final = (
    "import base64, json, os, sys; "
    f'_, _, packed = os.environ.pop("{CARRIER}", "").partition("{_MARK}"); '
    'os.environ.update(json.loads(base64.b64decode(packed) or "{}")); '
    'os.execv(sys.executable, [sys.executable, "-m", "pip", *sys.argv[1:]])'
)
# A git clone contains its address with the login.
_KEPT_CLONE = re.compile(r"^(?:-e|--editable)\b.*\$\{")


def pack(secrets: Mapping[str, str]) -> str:
    """Return the value of the build argument `CARRIER`."""
    return _MARK + base64.b64encode(json.dumps(secrets).encode()).decode()


def why_no_secrets(context: "LintContext") -> str | None:
    """Return the reason why the build of a project cannot take secrets, with the remedy; None if it can."""
    if REQUIREMENTS not in context.listing.by_path:
        return "only the installation of requirements.txt gets them, and there is no such file"
    if f"COPY {REQUIREMENTS}" not in context.build_steps:
        return _why_no_step(context)
    for instruction in context.dockerfile.built:
        if instruction.keyword == "ARG" and CARRIER in dict(instruction.assignments):
            return (
                f"the Dockerfile declares `ARG {CARRIER}` (line {instruction.line}), which carries them, and "
                "Docker writes declared arguments into the image's history. Remove the line"
            )
    for line in logical_lines(context.listing.text(REQUIREMENTS) or ""):
        if _KEPT_CLONE.search(line.text):
            return (
                f"{REQUIREMENTS}:{line.number}: the image keeps the clone of an editable requirement, and "
                "the clone keeps the login. Leave out -e"
            )
    return None


def _why_no_step(context: "LintContext") -> str:
    base = context.base
    if base is not None and context.has_onbuild:
        return (
            f"{base.reference} installs requirements.txt itself (ONBUILD), without build secrets. "
            f"Write FROM {base.name}:{base.tag}-base; the build then gets the same steps"
        )
    if context.installs(REQUIREMENTS):
        return (
            "the Dockerfile installs requirements.txt itself, without build secrets. Remove its "
            "COPY and RUN of that file; the build then gets steps with them"
        )
    return (
        "the Dockerfile copies DAGs itself or its base image is unknown, so no step that installs "
        "requirements.txt is added to the build. Build the image elsewhere and give `image`"
    )
