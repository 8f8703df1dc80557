"""The host's routes, as the kernel writes them on a little-endian machine."""

import sys
from ipaddress import IPv4Network

import pytest

from econe.hostroutes import host_networks

TABLE = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
vpn0	00001FAC	00000000	0001	0	0	0	0000FFFF	0	0	0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the table above is of such a machine")
def test_the_default_route_is_no_network_of_the_host(tmp_path):
    table = tmp_path / "route"
    table.write_text(TABLE)
    assert host_networks(table) == [IPv4Network("172.31.0.0/16")]


def test_a_host_without_the_table_has_no_routes(tmp_path):
    assert host_networks(tmp_path / "none") == []
