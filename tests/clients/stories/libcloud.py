"""Apache Libcloud's EC2 driver, unmodified: a node's life."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from libcloud.compute.base import NodeSize
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider
from tests.clients.door import Door
from tests.support.eventually import eventually

OWN_CHOICE = "its own choice"
"""Its table of regions says how to sign: for us-east-1 by signature version 2."""
SIGNATURES: dict[str, dict[str, str]] = {OWN_CHOICE: {}, "4": {"signature_version": "4"}}

Look = Callable[[Any], None]
"""At a node that runs, from beside the API."""


def driver_at(door: Door, signature: str) -> Any:
    where = urlsplit(door.url)
    made = get_driver(Provider.EC2)(
        door.access_key,
        door.secret,
        secure=False,
        host=where.hostname,
        port=where.port,
        region="us-east-1",
        **SIGNATURES[signature],
    )
    assert made.signature_version == {OWN_CHOICE: "2"}.get(signature, "4")
    return made


def until(driver: Any, node: Any, state: Any, within_s: float = 20) -> Any:
    """The node as it is listed once it has the state."""

    def seen() -> Any:
        (listed,) = driver.list_nodes(ex_node_ids=[node.id])
        return listed if listed.state == state else None

    return eventually(seen, within_s=within_s, every_s=0.1)


def size(driver: Any, name: str) -> NodeSize:
    return next(each for each in driver.list_sizes() if each.id == name)


def live(
    driver: Any, image: str, user_data: str, look: Look = lambda _node: None, within_s: float = 20
) -> None:
    """Create, read, change, delete. The key that `look` may log in with is the driver's `pair`."""
    driver.pair = pair = driver.create_key_pair("mykey")
    node = driver.create_node(
        name="web <1>",
        size=size(driver, "t2.micro"),
        image=driver.get_image(image),
        location=driver.list_locations()[0],
        ex_keyname=pair.name,
        ex_userdata=user_data,
        ex_metadata={"team": "a&b"},
        ex_security_groups=["default"],
        ex_clienttoken=f"once, signed {driver.signature_version}",
    )
    node = until(driver, node, NodeState.RUNNING, within_s)
    _is_read(driver, node)
    look(node)
    node = _is_changed(driver, node, within_s)
    look(node)
    assert driver.destroy_node(node)
    until(driver, node, NodeState.TERMINATED, within_s)
    assert driver.list_volumes() == []
    assert driver.delete_key_pair(pair)


def _is_read(driver: Any, node: Any) -> None:
    assert [each.id for each in driver.list_nodes() if each.state == NodeState.RUNNING] == [node.id]
    told = (node.name, node.extra["key_name"], node.extra["instance_type"])
    assert told == ("web <1>", "mykey", "t2.micro")
    assert node.public_ips == []
    assert len(node.private_ips) == 1
    assert node.extra["block_device_mapping"][0]["ebs"]["status"] == "attached"
    assert node.created_at is not None


def _is_changed(driver: Any, node: Any, within_s: float) -> Any:
    assert driver.ex_create_tags(node, {"team": "b", "empty": ""})
    tags = {"Name": "web <1>", "team": "b", "empty": ""}
    assert driver.ex_describe_tags(node) == tags
    assert driver.list_nodes(ex_filters={"tag:team": "b"})[0].id == node.id
    assert driver.list_nodes(ex_filters={"tag:team": "a&b"}) == []
    assert driver.ex_delete_tags(node, {"empty": None, "team": "b"})
    assert driver.ex_describe_tags(node) == {"Name": "web <1>"}
    assert driver.reboot_node(node)
    assert driver.stop_node(node)
    node = until(driver, node, NodeState.STOPPED, within_s)
    assert driver.ex_change_node_size(node, size(driver, "t2.small"))
    assert driver.start_node(node)
    node = until(driver, node, NodeState.RUNNING, within_s)
    assert node.extra["instance_type"] == "t2.small"
    assert driver.ex_get_console_output(node)["instance_id"] == node.id
    return node
