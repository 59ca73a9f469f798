"""The stack that the quickstart drives."""

from pathlib import Path

import pytest
import yaml

from local.stack import Stack


@pytest.mark.parametrize("before", [None, "", "config:\n", "encryptionsalt: v1:gone\n"], ids=repr)
def test_a_stack_can_be_configured_whatever_its_file_holds(
    tmp_path: Path, before: str | None
) -> None:
    """A stack that was removed leaves an empty file, once its salt is gone."""
    stack = Stack(tmp_path, "trial", {})
    if before is not None:
        stack.config_file.write_text(before)
    stack.forget_encryption()

    stack.configure({"quickstart:nodePort": 30100})
    stack.configure({"quickstart:repository": "registry/one"})

    assert yaml.safe_load(stack.config_file.read_text()) == {
        "config": {"quickstart:nodePort": 30100, "quickstart:repository": "registry/one"}
    }
