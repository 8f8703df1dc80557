from econe.engines.qemu.check import _networks
from econe.settings import Qemu


def test_the_operator_is_told_that_the_user_mode_network_reaches_the_hosts_services() -> None:
    told = {finding.name: finding.said for finding in _networks(Qemu(network="user"))}
    assert "127.0.0.1" in told["host's services"]
