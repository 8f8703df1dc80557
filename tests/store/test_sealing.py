"""Secrets at rest."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.store import made

from econe.domain.hidden import Hidden
from econe.domain.ports import StoreBroken
from econe.store import open_store
from econe.store.sealing import Seal, make_key_file, read_key_file
from econe.store.sqlite import DatabaseStore

KEY = bytes(range(32))


@given(st.text(), st.lists(st.text()))
def test_what_is_sealed_can_be_opened(name: str, secrets: list[str]) -> None:
    opened = tuple(Hidden(secret) for secret in secrets)
    name = name.encode(errors="replace").decode()
    assert Seal(KEY).open(name, Seal(KEY).close(name, opened)) == opened


def test_sealing_twice_differs() -> None:
    assert Seal(KEY).close("a", (Hidden("x"),)) != Seal(KEY).close("a", (Hidden("x"),))


@pytest.mark.parametrize("damage", ["another name", "another key", "a changed byte", "cut", "form"])
def test_what_was_tampered_with_is_not_opened(damage: str) -> None:
    sealed = Seal(KEY).close("AKIA1", (Hidden("secret"),))
    name, key = "AKIA1", KEY
    if damage == "another name":
        name = "AKIA2"
    elif damage == "another key":
        key = bytes(32)
    elif damage == "a changed byte":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    elif damage == "cut":
        sealed = sealed[:5]
    else:
        sealed = b"\x02" + sealed[1:]
    with pytest.raises(StoreBroken):
        Seal(key).open(name, sealed)


def test_no_secret_is_in_any_file(state: Path) -> None:
    secret = "wJalrXUtnFEMI-this-must-not-be-found"
    store = open_store(state)
    with store.writing() as tx:
        made.found(tx)
        tx.access_keys.add(made.access_key(secrets=(secret, secret[::-1])))
    held = [path.read_bytes() for path in state.iterdir()]  # the write-ahead log among them
    store.close()
    held += [path.read_bytes() for path in state.iterdir()]
    assert len(held) > 3
    assert any(b"AKIAIOSFODNN7EXAMPLE" in content for content in held)
    for content in held:
        assert secret.encode() not in content
        assert secret[::-1].encode() not in content


def test_a_sealed_secret_moved_to_another_key_does_not_open(store: DatabaseStore) -> None:
    with store.writing() as tx:
        tx.access_keys.add(made.access_key("mine"))
        tx.access_keys.add(made.access_key("theirs", made.JOHN))
    store.writer.execute(
        "UPDATE access_keys SET sealed = "
        "(SELECT sealed FROM access_keys WHERE access_key = 'mine') WHERE access_key = 'theirs'"
    )
    with store.reading() as tx:
        assert tx.access_keys.get("mine") is not None
        with pytest.raises(StoreBroken) as refused:
            tx.access_keys.get("theirs")
    assert "theirs" in refused.value.hidden


def test_authenticating_again_decrypts_nothing(
    store: DatabaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writing() as tx:
        tx.access_keys.add(made.access_key())
    with store.reading() as tx:
        first = tx.access_keys.get("AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setattr(store.seal, "_cipher", None)
    with store.reading() as tx:
        assert tx.access_keys.get("AKIAIOSFODNN7EXAMPLE") == first
    monkeypatch.undo()


def test_two_that_make_the_key_file_agree_on_one(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    make_key_file(path)
    first = read_key_file(path)
    make_key_file(path)
    assert read_key_file(path) == first
    assert list(tmp_path.iterdir()) == [path]
