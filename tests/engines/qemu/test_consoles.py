import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from econe.engines.qemu import consoles
from econe.engines.qemu.consoles import QemuConsoles

ID = "i-00000001"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / ID).mkdir()
    return tmp_path / ID / "console.log"


def shown(log: Path, keep_kib: int = 1024) -> bytes | None:
    output = QemuConsoles(log.parent.parent, keep_kib).output(ID)
    return output[0] if output else None


def test_a_machine_without_a_log_or_with_an_empty_one_has_no_output(log):
    assert shown(log) is None
    log.touch()
    assert shown(log) is None


@pytest.mark.parametrize("name", ["", "..", "../../etc", "i-00000001/../x", "i-1", "vol-00000001"])
def test_what_is_no_instance_id_has_no_output(log, name):
    assert QemuConsoles(log.parent.parent, 1).output(name) is None


def test_output_is_the_last_64_kib_and_when_they_came(log):
    log.write_bytes(b"old" * 30000 + b"new" * 30000)
    os.utime(log, (0, 1_700_000_000))
    text, at = QemuConsoles(log.parent.parent, 1024).output(ID)
    assert text == (b"old" * 30000 + b"new" * 30000)[-65536:]
    assert at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_log_is_capped_while_its_writer_goes_on(log):
    keeper = QemuConsoles(log.parent.parent, 64)
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for line in range(40000):
            os.write(writer, b"line %08d\n" % line)
        os.fsync(writer)
        keeper.cap()
        os.write(writer, b"after the cap\n")
    finally:
        os.close(writer)
    assert log.stat().st_blocks * 512 <= 72 * 1024
    tail = shown(log)
    assert tail.endswith(b"line 00039999\nafter the cap\n")
    assert len(tail) >= 60 * 1024
    assert b"\0" not in tail


def test_what_is_shown_begins_where_the_hole_ends(log):
    keeper = QemuConsoles(log.parent.parent, 8)
    log.write_bytes(b"x" * 200_000)
    keeper.cap()
    tail = shown(log)
    assert set(tail) == {ord("x")}
    assert 8 * 1024 <= len(tail) <= 13 * 1024


def test_a_small_log_is_left_alone(log):
    log.write_bytes(b"boot\0ed\n")
    QemuConsoles(log.parent.parent, 1).cap()
    assert shown(log) == b"boot\0ed\n"


def test_where_holes_cannot_be_made_the_log_starts_anew(log, monkeypatch):
    monkeypatch.setattr(consoles, "_punch", lambda fd, length: False)
    log.write_bytes(b"x" * 200_000)
    QemuConsoles(log.parent.parent, 8).cap()
    assert log.stat().st_size == 0


def test_what_qemu_itself_says_is_capped_too(log):
    said = log.with_name("qemu.log")
    said.write_bytes(b"x" * 1_000_000)
    QemuConsoles(log.parent.parent, 1024).cap()
    assert said.stat().st_blocks * 512 < 100_000
