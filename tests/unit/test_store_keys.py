"""An API key opens its workspace until it is revoked, and its secret is nowhere on the disk."""

from pathlib import Path

import pytest

from actors.store.keys import FILE_NAME, SCOPES, KeyStore


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path)


def test_a_key_is_verified_by_every_process(keys: KeyStore, tmp_path: Path) -> None:
    info, plaintext = keys.create("shop", ["send", "publish"], 5, dev=True)
    assert plaintext.startswith(f"dk_{info.id}_")
    assert (info.workspace, info.scopes, info.created_ms, info.dev) == (
        "shop", ("publish", "send"), 5, True,
    )  # fmt: skip
    other = KeyStore(tmp_path)
    assert keys.verify(plaintext) == other.verify(plaintext) == info
    assert other.revoke(info.id, 9)
    assert keys.verify(plaintext) is None
    assert keys.list()[0].revoked_ms == 9


def test_the_secret_is_not_kept(keys: KeyStore, tmp_path: Path) -> None:
    _, plaintext = keys.create("shop", ["read"], 5, secret=bytes(range(32)))
    assert plaintext.endswith(bytes(range(32)).hex())
    keys.close()
    content = (tmp_path / FILE_NAME).read_bytes()
    assert bytes(range(32)) not in content
    assert bytes(range(32)).hex().encode() not in content
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_what_is_not_a_key_is_nobodys(keys: KeyStore) -> None:
    _, plaintext = keys.create("shop", ["read"], 5)
    _, other = keys.create("shop", ["read"], 5)
    last = "0" if plaintext[-1] != "0" else "1"
    wrong = [
        "", "dk_", plaintext[:-1], plaintext[:-1] + last, plaintext + "0", plaintext.upper(),
        plaintext[:15] + other[15:], "dk_" + "0" * 12 + plaintext[15:], "é" * len(plaintext),
    ]  # fmt: skip
    assert [keys.verify(text) for text in wrong] == [None] * len(wrong)
    assert keys.verify(plaintext) is not None


def test_keys_differ(keys: KeyStore) -> None:
    made = [keys.create("shop", ["read"], 5)[1] for _ in range(20)]
    assert len({text[-64:] for text in made}) == len({text[3:15] for text in made}) == 20


def test_keys_are_listed_by_workspace_oldest_first(keys: KeyStore) -> None:
    late, _ = keys.create("shop", SCOPES, 9)
    early, _ = keys.create("shop", ["read"], 5)
    other, _ = keys.create("bank", ["admin"], 7)
    assert keys.list() == [early, other, late]
    assert keys.list("shop") == [early, late]
    assert late.scopes == SCOPES


def test_revoking_twice_keeps_the_first_time(keys: KeyStore) -> None:
    info, _ = keys.create("shop", ["read"], 5)
    assert keys.revoke(info.id, 7)
    assert keys.revoke(info.id, 8)
    assert keys.list()[0].revoked_ms == 7
    assert not keys.revoke("unknown", 8)


@pytest.mark.parametrize(
    ("scopes", "secret", "words"),
    [
        ([], None, "scopes are missing; choose from publish, read"),
        (["read", "fly"], None, "scopes fly; choose"),
        (["read"], b"short", "32 bytes, this one 5"),
    ],
)
def test_a_key_without_sense_is_refused(
    keys: KeyStore, scopes: list[str], secret: bytes | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        keys.create("shop", scopes, 5, secret=secret)
    assert keys.list() == []
