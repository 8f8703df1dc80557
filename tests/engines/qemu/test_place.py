import pytest
from tests.support.machines import machine

from econe.domain.engine_ports import EngineBusy
from econe.durable import write_whole
from econe.engines.qemu.place import (
    Place,
    Power,
    Record,
    busy_if_the_system_fails,
    place_of,
    places,
)


@pytest.fixture
def place(tmp_path) -> Place:
    place = place_of(tmp_path / "instances", "i-00000001")
    place.path.mkdir(parents=True)
    return place


def test_records_are_read_as_they_were_written(place):
    record = Record("ec2…", machine().nics)
    assert place.read_record() is None
    place.write_record(record)
    assert place.read_record() == record
    place.write_power(Power("127.0.0.1:22000"))
    assert place.read_power() == Power("127.0.0.1:22000")


def test_a_record_that_was_not_finished_is_none(place, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda fd: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        place.write_power(Power("x"))
    assert place.read_power() is None


@pytest.mark.parametrize("content", ["", "abc", "-1", "12x", "0", "9" * 30])
def test_a_damaged_pid_file_is_as_none(place, content):
    place.pid.write_text(content)
    assert place.read_pid() is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "i-1", "i-0000000g", "i-00000001/x", "vol-00000001"]
)
def test_what_is_no_instance_id_names_no_place(tmp_path, name):
    with pytest.raises(ValueError, match="no instance id"):
        place_of(tmp_path, name)


def test_only_directories_with_an_instances_name_are_places(tmp_path):
    assert list(places(tmp_path / "none")) == []
    (tmp_path / "i-00000001").mkdir()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "i-00000002").write_text("")
    (tmp_path / "i-00000003").symlink_to(tmp_path)
    assert [place.id for place in places(tmp_path)] == ["i-00000001"]


def test_clearing_leaves_what_is_kept_and_removes_the_spec_last(place, monkeypatch):
    order = []
    monkeypatch.setattr("econe.engines.qemu.place._remove", lambda path: order.append(path.name))
    for name in ("spec.json", "console.log", "zzz", "aaa"):
        write_whole(place.path / name, "x")
    place.clear(frozenset({"console.log"}))
    assert sorted(order[:-1]) == ["aaa", "zzz"]
    assert order[-1] == "spec.json"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"uuid": "x", "nics": [{}]}'])
def test_a_damaged_record_is_none_and_not_the_end_of_looking(place, content):
    place.spec.write_text(content)
    assert place.read_record() is None


def test_bytes_that_are_no_text_and_directories_are_no_records(place):
    for record in (place.spec, place.power, place.pid):
        record.write_bytes(b"\xff\xfe")
    assert (place.read_record(), place.read_power(), place.read_pid()) == (None, None, None)
    place.spec.unlink()
    place.spec.mkdir()
    assert place.read_record() is None


@pytest.mark.parametrize("content", [b"", b"soon", b"\xff"])
def test_a_damaged_reboot_is_over_at_once(place, content):
    place.reboot.write_bytes(content)
    assert place.read_reboot() == 0.0


def test_what_the_system_cannot_do_now_is_busy():
    with pytest.raises(EngineBusy, match="No space left"), busy_if_the_system_fails():
        raise OSError(28, "No space left on device")
