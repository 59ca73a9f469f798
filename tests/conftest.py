"""What holds for all tests."""

import gc

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lets the garbage collector pass over what the imports made."""
    gc.collect()
    gc.freeze()
