"""Pulumi's passphrase scheme: what the real engine encrypted can be read, and the other way round."""

import json
from pathlib import Path

import pytest

from astro_pulumi.embedded.secrets import (
    Crypter,
    new_salt,
    open_crypter,
    passphrase_from,
    unlock,
)
from astro_pulumi.embedded.state import (
    Snapshot,
    checkpoint_from_json,
    checkpoint_salt,
    checkpoint_to_json,
    compact,
    resource_to_json,
)
from astro_pulumi.embedded.values import Secret
from astro_pulumi.errors import StateError
from tests.unit.embedded.recordings import load_checkpoint

# Made by Pulumi, with the passphrase "x".
SALT = "v1:1GEQQ7HYJes=:v1:/ZBmGt0+kXTtdyRE:4so++jkyt4RlLu8IlxzQTU0oBISalA=="


@pytest.fixture(scope="module")
def crypter() -> Crypter:
    found = unlock(SALT, "x")
    assert found
    return found


def test_a_wrong_passphrase_is_noticed() -> None:
    assert unlock(SALT, "y") is None


def test_what_is_encrypted_can_be_decrypted_and_never_looks_the_same(crypter: Crypter) -> None:
    first, second = crypter.encrypt("pässwörd"), crypter.encrypt("pässwörd")
    assert first != second
    assert crypter.decrypt(first) == crypter.decrypt(second) == "pässwörd"


def test_a_new_salt_accepts_its_passphrase_only() -> None:
    salt, crypter = new_salt("secret")
    again = unlock(salt, "secret")
    assert again
    assert again.decrypt(crypter.encrypt("a")) == "a"
    assert unlock(salt, "Secret") is None


def test_state_of_the_real_engine_is_read_and_written_unchanged(crypter: Crypter) -> None:
    data = load_checkpoint()
    snapshot = checkpoint_from_json(data, crypter)
    passwords = [s for s in snapshot.resources if s.type.endswith("RandomPassword")]
    assert all(isinstance(s.outputs["result"], Secret) for s in passwords)
    assert len(passwords[0].outputs["result"].value) == passwords[0].inputs["length"]
    written = [resource_to_json(state, crypter) for state in snapshot.resources]
    assert json.loads(compact(written)) == data["checkpoint"]["latest"]["resources"]
    texts = [compact(resource) for resource in written]
    text = checkpoint_to_json("organization/proto/dev", SALT, "v3.272.0", texts, [])
    again = json.loads(text)
    manifest = data["checkpoint"]["latest"]["manifest"] | {"time": ""}
    assert again["checkpoint"]["latest"]["manifest"] | {"time": ""} == manifest
    assert checkpoint_salt(again) == SALT


def test_no_secret_is_in_the_file_or_in_a_repr(crypter: Crypter) -> None:
    snapshot = checkpoint_from_json(load_checkpoint(), crypter)
    state = next(s for s in snapshot.resources if s.name == "pg")
    password = state.outputs["result"].value
    assert password not in compact(resource_to_json(state, crypter))
    assert password not in repr(state)


def test_other_secrets_providers_are_refused_by_name() -> None:
    data = load_checkpoint()
    data["checkpoint"]["latest"]["secrets_providers"]["type"] = "cloud"
    with pytest.raises(StateError, match=r"'cloud'.*Pulumi CLI"):
        checkpoint_salt(data)


@pytest.mark.parametrize(
    ("version", "features", "said"),
    [(5, [], "has version 5"), (4, ["hooks", "views"], "needs views"), (None, [], "version None")],
)
def test_other_versions_of_the_format_are_refused(
    crypter: Crypter, version: int | None, features: list[str], said: str
) -> None:
    data: dict[str, object] = {"version": version, "features": features, "checkpoint": {}}
    with pytest.raises(StateError, match=said):
        checkpoint_from_json(data, crypter)


def test_an_empty_stack(crypter: Crypter) -> None:
    text = checkpoint_to_json("organization/p/s", SALT, "v3.272.0", [], [])
    assert checkpoint_from_json(json.loads(text), crypter) == Snapshot()


def test_where_the_passphrase_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text("from file\n")
    by_file = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    assert passphrase_from(by_file) == "from file"
    assert passphrase_from({"PULUMI_CONFIG_PASSPHRASE": "", **by_file}) == ""
    assert passphrase_from({}) is None
    with pytest.raises(StateError, match="PULUMI_CONFIG_PASSPHRASE_FILE"):
        passphrase_from({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "missing")})


def test_a_terminal_is_asked_until_it_is_right() -> None:
    answers = iter(["wrong", "x"])
    salt, crypter = open_crypter(SALT, {}, lambda _: next(answers))
    assert (salt, crypter.decrypt(SALT.split(":", 2)[2])) == (SALT, "pulumi")


def test_without_a_terminal_the_variable_is_named() -> None:
    with pytest.raises(StateError, match="PULUMI_CONFIG_PASSPHRASE"):
        open_crypter(SALT, {}, None)
    with pytest.raises(StateError, match=r"incorrect passphrase.*PULUMI_CONFIG_PASSPHRASE"):
        open_crypter(SALT, {"PULUMI_CONFIG_PASSPHRASE": "wrong"}, None)


def test_a_new_passphrase_is_asked_for_twice() -> None:
    with pytest.raises(StateError, match="do not match"):
        answers = iter(["a", "b"])
        open_crypter(None, {}, lambda _: next(answers))
