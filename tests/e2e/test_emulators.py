"""Emulators that do not start, or die as soon as they have: the instance never hangs pending."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.conftest import MakeServer
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]

REAL = 'exec qemu-system-x86_64 "$@"'
NEVER = "echo 'no such machine as q35' >&2; exit 1"
ONCE_OUT_OF_MEMORY = f"""\
if mkdir $HERE/tried; then
    echo 'qemu: cannot set up guest memory: Cannot allocate memory' >&2
    exit 1
fi
{REAL}"""
ONCE_KILLED = f"mkdir $HERE/tried && kill -KILL $$; {REAL}"
ALWAYS_KILLED_SOON = """\
qemu-system-x86_64 "$@" &
sleep 0.4
kill -KILL $!
kill -KILL $$"""


@pytest.fixture
def emulated(make_server: MakeServer) -> Iterator[MakeServer]:
    """Servers whose emulator is a script, in a directory that guests' users may write to."""
    with ExitStack() as places:

        def make(script: str) -> Server:
            place = Path(places.enter_context(tempfile.TemporaryDirectory(prefix="econe-e2e-")))
            place.chmod(0o777)
            path = place / "emulator"
            path.write_text(f"#!/bin/sh\nHERE={place}\n{script}\n")
            path.chmod(0o755)
            return make_server(qemu__binary=path, work__retry_first_s=0.1, work__watch_every_s=0.2)

        yield make


def launch(server: Server, disk: Path) -> tuple[Account, str]:
    account = server.account()
    return account, account.launch(account.image(disk))


def test_an_emulator_that_never_starts_ends_the_launch(emulated, sector_image: Path):
    server = emulated(NEVER)
    helen, id_ = launch(server, sector_image)
    told = helen.until(id_, "terminated", within_s=20)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    assert "emulator did not accept the machine" in told["StateReason"]["Message"]
    assert "no such machine as q35" not in str(told)  # for the operator only
    assert "no such machine as q35" in server.log
    assert leavings.of_instances(server.state) == []


def test_an_emulator_that_is_not_there_ends_the_launch(make_server, sector_image: Path):
    server = make_server(qemu__binary="no-such-emulator")
    helen, id_ = launch(server, sector_image)
    told = helen.until(id_, "terminated", within_s=20)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    assert "no-such-emulator' is not installed" in server.log


@pytest.mark.parametrize("script", [ONCE_OUT_OF_MEMORY, ONCE_KILLED], ids=["memory", "killed"])
def test_an_emulator_that_fails_once_is_started_again(emulated, sector_image: Path, script: str):
    server = emulated(script)
    helen, id_ = launch(server, sector_image)
    helen.until(id_, "running", within_s=20)
    assert len(leavings.qemus(server.state)) == 1
    assert "Could not start the machine" in server.log
    helen.ec2.terminate_instances(InstanceIds=[id_])
    helen.until(id_, "terminated", within_s=20)


def test_an_emulator_that_always_dies_soon_does_not_hang(emulated, sector_image: Path):
    """Whether it was seen running before it died decides what becomes of the instance."""
    server = emulated(ALWAYS_KILLED_SOON)
    helen, id_ = launch(server, sector_image)
    told = eventually(
        lambda: helen.state(id_) in {"stopped", "terminated"} and helen.describe(id_),
        within_s=30,
        every_s=0.2,
    )
    assert told["StateReason"]["Code"] == "Server.InternalError"
    eventually(lambda: not leavings.qemus(server.state), within_s=5)


def test_a_start_that_fails_keeps_the_disk(emulated, sector_image: Path):
    server = emulated(f"[ -e $HERE/broken ] && exit 1\n{REAL}")
    helen, id_ = launch(server, sector_image)
    helen.until(id_, "running", within_s=20)
    helen.ec2.stop_instances(InstanceIds=[id_], Force=True)
    helen.until(id_, "stopped", within_s=20)
    broken = Path(server.env["ECONE_QEMU_BINARY"]).with_name("broken")
    broken.touch()
    helen.ec2.start_instances(InstanceIds=[id_])
    eventually(lambda: "report failed" in server.log, within_s=20)
    told = helen.until(id_, "stopped", within_s=20)
    assert told["StateReason"]["Code"] == "Server.InternalError"
    assert len(list((server.state / "volumes").iterdir())) == 1
    broken.unlink()
    helen.ec2.start_instances(InstanceIds=[id_])
    helen.until(id_, "running", within_s=20)
