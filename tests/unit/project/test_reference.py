"""docs/lint.md has the current rules."""

from astro_pulumi.project.lint import RULES
from tests.unit.project.reference import PAGE, with_tables


def test_the_page_says_what_the_rules_say() -> None:
    page = PAGE.read_text()
    assert page == with_tables(page), "run: python -m tests.unit.project.reference"
    assert all(page.count(f"\n| {rule.code} |") == 1 for rule in RULES)
