"""The log file: whole lines, of bounded size."""

import logging
import re
from pathlib import Path

from econe.logs import BoundedFile, Lines


def logger(path: Path, **more: int) -> tuple[logging.Logger, BoundedFile]:
    handler = BoundedFile(path, **more)
    handler.setFormatter(Lines())
    log = logging.Logger("test")
    log.addHandler(handler)
    return log, handler


def test_a_line_is_the_time_the_level_and_the_sentence(tmp_path: Path) -> None:
    log, handler = logger(tmp_path / "log")
    log.warning("Something happened. id=%s", "x")
    handler.close()
    line = (tmp_path / "log").read_text()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning Something happened\. id=x\n", line
    )


def test_a_log_is_for_its_owner(tmp_path: Path) -> None:
    logger(tmp_path / "log")[1].close()
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_traceback_stays_with_its_line(tmp_path: Path) -> None:
    log, handler = logger(tmp_path / "log")
    try:
        raise ValueError("why\n2026-01-01T00:00:00.000Z info forged")
    except ValueError:
        log.exception("It failed.")
    handler.close()
    first, *rest = (tmp_path / "log").read_text().splitlines()
    assert first.endswith("error It failed.")
    assert rest
    assert all(line.startswith("    ") for line in rest)


def test_a_full_file_makes_room_once(tmp_path: Path) -> None:
    log, handler = logger(tmp_path / "log", full_bytes=1000)
    for number in range(100):
        log.info("line %d", number)
    handler.close()
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    both = (tmp_path / "log.1").read_text() + (tmp_path / "log").read_text()
    assert len(both) < 2200
    assert both.splitlines()[-1].endswith("line 99")


def test_a_log_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(2):
        log, handler = logger(tmp_path / "log")
        log.info("line %d \udcff", number)
        handler.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_a_disk_that_is_full_does_not_stop_the_program(tmp_path: Path) -> None:
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        log, handler = logger(Path("/dev/full"))
        log.info("lost")
        handler.close()
    finally:
        logging.raiseExceptions = before
