"""What decides whether an image is built again, and where its packages come from."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from local import images

REGISTRY = "localhost:5000"


@pytest.fixture
def image(tmp_path: Path) -> images.Image:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "run.sh").write_text("exit 0\n")
    return images.Image("x", "1", tmp_path, arguments={"A": "1"})


class TestKey:
    def test_is_the_same_for_the_same_inputs(self, image: images.Image, tmp_path: Path) -> None:
        copy = tmp_path.with_name("copy")
        shutil.copytree(tmp_path, copy)
        assert image.key(REGISTRY) == dataclasses.replace(image, context=copy).key(REGISTRY)

    def test_changes_with_a_files_content(self, image: images.Image, tmp_path: Path) -> None:
        before = image.key(REGISTRY)
        (tmp_path / "run.sh").write_text("exit 1\n")
        assert image.key(REGISTRY) != before

    def test_changes_when_a_file_becomes_a_program(
        self, image: images.Image, tmp_path: Path
    ) -> None:
        before = image.key(REGISTRY)
        (tmp_path / "run.sh").chmod(0o755)
        assert image.key(REGISTRY) != before

    def test_changes_with_an_argument(self, image: images.Image) -> None:
        other = dataclasses.replace(image, arguments={"A": "2"})
        assert other.key(REGISTRY) != image.key(REGISTRY)

    def test_changes_with_the_base(self, image: images.Image) -> None:
        first = dataclasses.replace(image, base=dataclasses.replace(image, tag="a"))
        second = dataclasses.replace(image, base=dataclasses.replace(image, tag="b"))
        assert first.key(REGISTRY) != second.key(REGISTRY)

    def test_changes_with_the_registry(self, image: images.Image) -> None:
        assert image.key("ghcr.io/acme") != image.key(REGISTRY)


class TestRuntime:
    def test_tag_names_the_airflow_minor_that_is_installed(self) -> None:
        runtime = images.runtime("3.2.2")
        assert runtime.reference(REGISTRY) == "localhost:5000/runtime:3.2-1"
        assert runtime.base is not None
        assert runtime.base.arguments["AIRFLOW_VERSION"] == "3.2.2"
        assert "==3.2.2 " in runtime.base.arguments["AIRFLOW_REQUIREMENTS"]

    def test_tag_may_be_chosen(self) -> None:
        assert images.runtime("2.11.2", "13.0.0").tag == "13.0.0"


class TestAptSources:
    DEB822 = (
        "# a comment\n"
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )

    def test_of_deb822_are_one_line_a_suite(self) -> None:
        assert images.deb822_sources(self.DEB822) == [
            "deb http://mirror.example/debian bookworm main",
            "deb http://mirror.example/debian bookworm-updates main",
        ]

    def test_of_other_parties_are_left_out(self) -> None:
        other = self.DEB822.replace("debian-archive-keyring", "other")
        assert images.deb822_sources(other) == []

    def test_of_other_suites_are_left_out(self) -> None:
        assert images.deb822_sources(self.DEB822.replace("bookworm", "trixie")) == []

    def test_are_read_from_both_forms(self, tmp_path: Path) -> None:
        directory = tmp_path / "sources.list.d"
        directory.mkdir()
        (tmp_path / "sources.list").write_text(
            "# deb http://old.example/debian bookworm main\n"
            "deb http://one.example/debian bookworm main\n"
            "deb http://vendor.example/apt vendor-bookworm main\n"
        )
        (directory / "debian.sources").write_text(self.DEB822)
        assert images.apt_sources(tmp_path) == [
            "deb http://one.example/debian bookworm main",
            "deb http://mirror.example/debian bookworm main",
            "deb http://mirror.example/debian bookworm-updates main",
        ]


def test_a_chosen_package_index_is_passed_on() -> None:
    assert images.pip_index({"PIP_INDEX_URL": "https://index.example/simple"}) == (
        "https://index.example/simple"
    )
