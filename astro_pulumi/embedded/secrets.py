"""Pulumi's passphrase secrets provider: how values are encrypted in state and configuration.

PBKDF2-SHA256 with 1,000,000 iterations derives an AES-256-GCM key. A ciphertext is
`v1:<nonce>:<data>`, both base64. The stack's salt is `v1:<salt>:<ciphertext of "pulumi">`, so that a
wrong passphrase is noticed before anything is written.
"""

import base64
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from astro_pulumi.errors import StateError

_PROOF: Final = "pulumi"
_HOW_TO_SET: Final = (
    "Set PULUMI_CONFIG_PASSPHRASE, or PULUMI_CONFIG_PASSPHRASE_FILE to a file that contains it."
)


class Crypter:
    """Encrypts and decrypts with one key."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def encrypt(self, plaintext: str) -> str:
        """`v1:<nonce>:<data>` of `plaintext`, another one each time."""
        nonce = os.urandom(12)
        data = self._cipher.encrypt(nonce, plaintext.encode(), None)
        return f"v1:{_base64(nonce)}:{_base64(data)}"

    def decrypt(self, ciphertext: str) -> str:
        """The reverse of `encrypt`; a `StateError` when the key is not the right one."""
        from cryptography.exceptions import InvalidTag

        parts = ciphertext.split(":")
        if len(parts) != 3 or parts[0] != "v1":
            raise StateError(f"not a value of Pulumi's passphrase secrets provider: {parts[0]}:…")
        try:
            nonce, data = (base64.b64decode(part) for part in parts[1:])
            return self._cipher.decrypt(nonce, data, None).decode()
        except (InvalidTag, ValueError) as error:
            raise StateError(
                "a secret cannot be decrypted: it was encrypted with another key than this stack's"
            ) from error


def new_salt(passphrase: str) -> tuple[str, Crypter]:
    """A stack's new `encryptionsalt` and the crypter that goes with it."""
    salt = os.urandom(8)
    crypter = Crypter(_derive_key(passphrase, salt))
    return f"v1:{_base64(salt)}:{crypter.encrypt(_PROOF)}", crypter


def unlock(salt: str, passphrase: str) -> Crypter | None:
    """The crypter for a stack's `encryptionsalt`, or None when the passphrase is wrong."""
    parts = salt.split(":", 2)
    if len(parts) != 3 or parts[0] != "v1":
        raise StateError(f"encryptionsalt has an unknown form: {salt.split(':')[0]}:…")
    crypter = Crypter(_derive_key(passphrase, base64.b64decode(parts[1])))
    try:
        return crypter if crypter.decrypt(parts[2]) == _PROOF else None
    except StateError:
        return None


def passphrase_from(environment: Mapping[str, str]) -> str | None:
    """The passphrase that the environment names, if any. An empty one counts, as in Pulumi."""
    if "PULUMI_CONFIG_PASSPHRASE" in environment:
        return environment["PULUMI_CONFIG_PASSPHRASE"]
    file = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise StateError(f"PULUMI_CONFIG_PASSPHRASE_FILE: {error}") from error


def open_crypter(
    salt: str | None, environment: Mapping[str, str], ask: Callable[[str], str] | None
) -> tuple[str, Crypter]:
    """-> (salt, crypter) of a stack, with the passphrase from the environment or the terminal.

    `salt` is None for a stack without one yet. `ask` prompts without echo; None where nobody can
    answer.
    """
    passphrase = passphrase_from(environment)
    if passphrase is None:
        if ask is None:
            raise StateError(f"a passphrase is needed for the stack's secrets. {_HOW_TO_SET}")
        if salt is None:
            passphrase = ask("Enter your passphrase to protect config/secrets")
            if ask("Re-enter your passphrase to confirm") != passphrase:
                raise StateError("the passphrases do not match")
        else:
            for _ in range(3):
                crypter = unlock(salt, ask("Enter your passphrase to unlock config/secrets"))
                if crypter:
                    return salt, crypter
            raise StateError("incorrect passphrase")
    if salt is None:
        return new_salt(passphrase)
    crypter = unlock(salt, passphrase)
    if crypter is None:
        raise StateError(f"incorrect passphrase. {_HOW_TO_SET}")
    return salt, crypter


def _derive_key(passphrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, 1_000_000)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
