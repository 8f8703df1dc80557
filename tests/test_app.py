"""What is joined for OpenNebula, where no story looks (tests/story has the rest)."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.store import made

from econe.app import StoreRegister, build
from econe.domain.engine_ports import EngineRefused
from econe.domain.ports import Known
from econe.settings import Opennebula, Settings
from econe.statedir import CannotStart


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    credentials = tmp_path / "ec2_auth"
    credentials.write_text("serveradmin:secret\n")
    said = Opennebula(endpoint="http://127.0.0.1:1/RPC2", credentials=credentials)
    return Settings(state=tmp_path / "state", engine="opennebula", opennebula=said)


def test_a_server_comes_up_while_oned_is_away_and_without_guests_of_its_own_to_answer(
    settings: Settings,
):
    before = set(threading.enumerate())  # other tests' servers run in this process, too
    app = build(settings)
    try:
        app.start()
        new = set(threading.enumerate()) - before
        assert "metadata" not in {thread.name for thread in new}
        assert app.cloud.can.shared
    finally:
        app.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"credentials": Path("/nonexistent")}, "/nonexistent cannot be read"),
        ({"endpoint": "oned"}, "opennebula.endpoint: 'oned'"),
    ],
)
def test_what_cannot_be_meant_does_not_start(settings: Settings, change: dict, said: str):
    wrong = replace(settings, opennebula=replace(settings.opennebula, **change))
    with pytest.raises((CannotStart, EngineRefused), match=said):
        build(wrong)


@pytest.mark.parametrize("catalogue", [True, False])
def test_the_catalogue_is_offered_unless_the_settings_say_no(settings: Settings, catalogue: bool):
    app = build(replace(settings, opennebula=replace(settings.opennebula, catalogue=catalogue)))
    app.close()
    assert bool(app.cloud.sizes) == catalogue


def test_the_register_is_what_the_store_says_now(settings: Settings):
    app = build(settings)
    register = StoreRegister(app.store)
    assert register() == {}
    with app.store.writing() as tx:
        made.found(tx)
        tx.instances.add(made.instance(engine_ref="7"))
    assert register() == {"7": Known("i-00000001", made.HELEN)}
    app.close()
