"""Apache Libcloud's EC2 driver, unmodified: it signs as its table of regions says, 2 or 4."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import NodeImage, NodeSize
from libcloud.compute.providers import get_driver
from libcloud.compute.types import KeyPairDoesNotExistError, NodeState, Provider
from tests.support.cloud import Cloud
from tests.support.eventually import eventually

from econe.actions.keymaker import OpenSshKeys

SIGNATURES = {"its own choice": {}, "4": {"signature_version": "4"}}


@pytest.fixture(params=SIGNATURES)
def driver(cloud: Cloud, request: pytest.FixtureRequest) -> Any:
    """Its own choice for us-east-1 is signature version 2."""
    where = urlsplit(cloud.url)
    made = get_driver(Provider.EC2)(
        cloud.caller.access_key,
        cloud.caller.secret,
        secure=False,
        host=where.hostname,
        port=where.port,
        region="us-east-1",
        **SIGNATURES[request.param],
    )
    assert made.signature_version == {"its own choice": "2"}.get(request.param, "4")
    return made


def until(driver: Any, node: Any, state: Any) -> Any:
    """The node as it is listed once it has the state."""

    def seen() -> Any:
        (listed,) = driver.list_nodes(ex_node_ids=[node.id])
        return listed if listed.state == state else None

    eventually(lambda: seen() is not None, within_s=20)
    return seen()


def size(driver: Any, name: str) -> NodeSize:
    return next(each for each in driver.list_sizes() if each.id == name)


def test_places_sizes_and_images_are_listed(cloud: Cloud, driver: Any) -> None:
    id_ = cloud.image()
    (image,) = driver.list_images(ex_owner="self")
    assert isinstance(image, NodeImage)
    assert (image.id, image.extra["state"]) == (id_, "available")
    assert driver.get_image(id_).id == id_
    (place,) = driver.list_locations()
    assert place.availability_zone.region_name == "us-east-1"
    assert {"t2.micro", "m1.small"} <= {each.id for each in driver.list_sizes()}
    assert driver.ex_get_limits()["resource"]["max-instances"] > 0
    (network,) = driver.ex_list_networks()
    (subnet,) = driver.ex_list_subnets()
    assert subnet.extra["vpc_id"] == network.id
    assert driver.ex_list_security_groups() == ["default"]


def test_a_node_lives_its_life(cloud: Cloud, driver: Any) -> None:
    pair = driver.create_key_pair("mykey")
    node = driver.create_node(
        name="web <1>",
        size=size(driver, "t2.micro"),
        image=driver.get_image(cloud.image()),
        location=driver.list_locations()[0],
        ex_keyname=pair.name,
        ex_userdata="#!/bin/sh\n",
        ex_metadata={"team": "a&b"},
        ex_security_groups=["default"],
        ex_clienttoken="once",
    )
    node = until(driver, node, NodeState.RUNNING)
    assert [each.id for each in driver.list_nodes()] == [node.id]
    assert (node.name, node.extra["key_name"], node.extra["instance_type"]) == (
        "web <1>", "mykey", "t2.micro",
    )  # fmt: skip
    assert node.public_ips == []
    assert len(node.private_ips) == 1
    assert node.extra["block_device_mapping"][0]["ebs"]["status"] == "attached"
    assert node.created_at is not None
    _changes(driver, node)
    assert driver.destroy_node(node)
    until(driver, node, NodeState.TERMINATED)
    assert driver.list_volumes() == []


def _changes(driver: Any, node: Any) -> None:
    assert driver.ex_create_tags(node, {"team": "b", "empty": ""})
    tags = {"Name": "web <1>", "team": "b", "empty": ""}
    assert driver.ex_describe_tags(node) == tags
    assert driver.list_nodes(ex_filters={"tag:team": "b"})[0].id == node.id
    assert driver.list_nodes(ex_filters={"tag:team": "a&b"}) == []
    assert driver.ex_delete_tags(node, {"empty": None, "team": "b"})
    assert driver.ex_describe_tags(node) == {"Name": "web <1>"}
    assert driver.reboot_node(node)
    assert driver.stop_node(node)
    node = until(driver, node, NodeState.STOPPED)
    assert driver.ex_change_node_size(node, size(driver, "t2.small"))
    assert driver.start_node(node)
    node = until(driver, node, NodeState.RUNNING)
    assert node.extra["instance_type"] == "t2.small"
    assert driver.ex_get_console_output(node)["instance_id"] == node.id


def test_several_nodes_at_once(cloud: Cloud, driver: Any) -> None:
    nodes = driver.create_node(
        name="many",
        size=size(driver, "t2.micro"),
        image=driver.get_image(cloud.image()),
        ex_mincount=2,
        ex_maxcount=2,
        ex_assign_public_ip=False,
        ex_subnet=driver.ex_list_subnets()[0],
        ex_security_group_ids=[driver.ex_get_security_groups(group_names=["default"])[0].id],
        ex_terminate_on_shutdown=True,
        ex_blockdevicemappings=[{"DeviceName": "/dev/sda1", "Ebs.VolumeSize": "2"}],
    )
    assert len({node.id for node in nodes}) == 2
    for node in nodes:
        until(driver, node, NodeState.RUNNING)
    assert {volume.size for volume in driver.list_volumes()} == {2}
    # It waits for a public address unless told otherwise, and no instance here has one.
    driver.wait_until_running(nodes, wait_period=0.1, timeout=20, ssh_interface="private_ips")
    for node in nodes:
        assert node.destroy()


def test_key_pairs(driver: Any, tmp_path: Path) -> None:
    made = driver.create_key_pair("made")
    assert made.private_key.startswith("-----BEGIN")
    line = OpenSshKeys().make("ed25519").public_key
    imported = driver.import_key_pair_from_string("imported", line)
    assert {pair.name for pair in driver.list_key_pairs()} == {"made", "imported"}
    assert driver.get_key_pair("imported").fingerprint == imported.fingerprint
    assert driver.delete_key_pair(made)
    assert [pair.name for pair in driver.list_key_pairs()] == ["imported"]
    with pytest.raises(KeyPairDoesNotExistError):
        driver.get_key_pair("made")


def test_what_goes_wrong_has_its_code(driver: Any) -> None:
    with pytest.raises(BaseHTTPError, match=r"InvalidInstanceID\.NotFound"):
        driver.list_nodes(ex_node_ids=["i-99999999"])
    driver.key = driver.connection.key = "wrong"
    driver.connection.signer.access_secret = "wrong"
    with pytest.raises(Exception, match=r"AuthFailure|InvalidCreds|validate|credentials"):
        driver.list_nodes()


def test_images_are_deleted_and_shared(cloud: Cloud, driver: Any) -> None:
    other = cloud.as_other()
    image = driver.get_image(cloud.image())
    added = {"LaunchPermission.Add.1.UserId": other.caller.number}
    assert driver.ex_modify_image_attribute(image, added)
    listed = other.client().describe_images(Owners=[cloud.caller.number])["Images"]
    assert [each["ImageId"] for each in listed] == [image.id]
    assert driver.delete_image(image)
    assert driver.list_images(ex_owner="self") == []
