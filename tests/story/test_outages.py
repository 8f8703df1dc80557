"""oned away, and we away."""

import threading

import pytest
from tests.story.cluster import Cluster
from tests.story.conftest import serving
from tests.story.server import Server, User
from tests.support.eventually import eventually

pytestmark = pytest.mark.story

MADE_BY = ("one.template.instantiate", "one.vm.allocate")


def launch(user: User, image: str) -> str:
    (made,) = user.ec2.run_instances(
        ImageId=image, InstanceType="m1.small", MinCount=1, MaxCount=1
    )["Instances"]
    assert made["State"]["Name"] == "pending"
    return str(made["InstanceId"])


def test_while_oned_is_away_describe_answers_and_what_is_asked_waits(
    server: Server, helen: User, image: str, cluster: Cluster
):
    before = launch(helen, image)
    helen.is_in(before, "running")
    cluster.running.stop()
    try:
        eventually(lambda: server.health()["oned"] is False, within_s=15)
        assert server.health()["ok"]
        assert helen.instance(before)["State"]["Name"] == "running"
        asked = launch(helen, image)
        helen.ec2.stop_instances(InstanceIds=[before])
        eventually(lambda: server.admin("status")["waiting"], within_s=10)
        assert helen.instance(asked)["State"]["Name"] == "pending"
        assert helen.instance(before)["State"]["Name"] == "stopping"
        assert "Nothing can be seen now" in server.log
    finally:
        cluster.running.start()
    helen.is_in(asked, "running")
    helen.is_in(before, "stopped")
    assert server.health()["oned"] is True
    assert len(cluster.running.world.vms()) == 2
    helen.ec2.terminate_instances(InstanceIds=[before, asked])
    helen.is_in(before, "terminated")
    helen.is_in(asked, "terminated")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_is_killed_in_the_middle_of_a_launch_makes_one_machine(
    server: Server, helen: User, image: str, cluster: Cluster, when: str
):
    """Killed while oned is at it; oned goes on, and nobody reads its answer."""
    oned, reached, go_on = cluster.running, threading.Event(), threading.Event()

    def hold(method: str, at: str) -> None:
        if method in MADE_BY and at == when and not reached.is_set():
            reached.set()
            assert go_on.wait(30)

    oned.faults.boundaries.append(hold)
    try:
        instance = launch(helen, image)
        assert reached.wait(15)
        server.kill()
    finally:
        go_on.set()
        oned.faults.boundaries.remove(hold)
    server.start()
    helen.is_in(instance, "running")
    assert len(oned.world.vms()) == 1
    helen.ec2.terminate_instances(InstanceIds=[instance])
    helen.is_in(instance, "terminated")


def test_a_server_starts_without_oned_and_says_so(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
):
    cluster.running.stop()
    try:
        with serving(Server(tmp_path_factory.mktemp("late"), cluster)) as server:
            eventually(lambda: server.health()["oned"] is False, within_s=15)
            assert server.health()["ok"]
            assert "Nothing can be seen now" in server.log
            told = server.said("econe-server", "check")
            assert "no   oned: " in told
            cluster.running.start()
            eventually(lambda: server.health()["oned"] is True, within_s=15)
            found = eventually(lambda: server.admin("account", "list")["accounts"], within_s=10)
            assert {"helen", "bob"} <= {account["name"] for account in found}
    finally:
        if cluster.running._server is None:
            cluster.running.start()


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "does not hold one line"), ("serveradmin", "one line"), (None, "No such")],
)
def test_a_server_without_a_service_account_does_not_start(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, content: str | None, said: str
):
    server = Server(tmp_path_factory.mktemp("bad"), cluster)
    credentials = server.place / "ec2_auth"
    credentials.unlink()
    if content is not None:
        credentials.write_text(content)
    ended = server.command("econe-server", "start", "--listen", "127.0.0.1:0")
    assert ended.returncode == 1
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
