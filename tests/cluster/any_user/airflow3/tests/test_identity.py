import os


def test_the_tests_run_as_that_user_too() -> None:
    assert os.getuid() > 1_000_000_000
    assert os.getgid() == 0
