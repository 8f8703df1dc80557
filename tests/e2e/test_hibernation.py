"""A guest that is hibernated goes on where it was: its processes, its memory, its address."""

from pathlib import Path

import pytest
from tests.e2e import leavings
from tests.e2e.guest import Guest
from tests.e2e.server import Account, Server
from tests.support.eventually import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.root]


@pytest.fixture(scope="module")
def sleeper(helen: Account, tiny: str, key: Path) -> Guest:
    id_ = helen.launch(tiny, KeyName="mykey", HibernationOptions={"Configured": True})
    helen.until(id_, "running")
    return helen.guest(id_, key).until_there()


def test_what_runs_in_it_goes_on(server: Server, helen: Account, sleeper: Guest):
    boot, before = sleeper.boot(), helen.describe(sleeper.id)
    sleeper.run("echo kept >/run/in-memory")
    sleeper.try_run("(while sleep 1; do date >>/run/ticks; done) >/dev/null 2>&1 &")
    helen.ec2.stop_instances(InstanceIds=[sleeper.id], Hibernate=True)
    stopped = helen.until(sleeper.id, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedHibernate"
    assert leavings.taps(server.state) == []
    assert (server.state / "instances" / sleeper.id / "memory").exists()

    server.kill()
    server.start()
    helen.ec2.start_instances(InstanceIds=[sleeper.id])
    after = helen.until(sleeper.id, "running")
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert not (server.state / "instances" / sleeper.id / "memory").exists()
    assert sleeper.until_there().boot() == boot
    assert sleeper.run("cat /run/in-memory") == "kept"
    ticks = int(sleeper.run("wc -l </run/ticks"))
    eventually(lambda: int(sleeper.run("wc -l </run/ticks")) > ticks, within_s=20)
    assert sleeper.metadata("latest/meta-data/instance-id") == (200, sleeper.id.encode())
    helen.ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[sleeper.id], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def test_an_ordinary_stop_keeps_nothing(helen: Account, sleeper: Guest):
    boot = sleeper.boot()
    helen.ec2.stop_instances(InstanceIds=[sleeper.id])
    helen.until(sleeper.id, "stopped")
    helen.ec2.start_instances(InstanceIds=[sleeper.id])
    helen.until(sleeper.id, "running")
    assert sleeper.until_there().boot() != boot
