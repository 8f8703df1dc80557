"""Apache Libcloud's EC2 driver, unmodified: it signs as its table of regions says, 2 or 4."""

from pathlib import Path
from typing import Any

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import NodeImage
from libcloud.compute.types import KeyPairDoesNotExistError, NodeState
from tests.clients.door import Door
from tests.clients.stories.libcloud import SIGNATURES, driver_at, live, size, until
from tests.support.cloud import Cloud

from econe.actions.keymaker import OpenSshKeys


@pytest.fixture(params=SIGNATURES)
def driver(door: Door, request: pytest.FixtureRequest) -> Any:
    return driver_at(door, request.param)


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
    """What it does and what it insists on stands in stories/libcloud.py."""
    live(driver, cloud.image(), "#!/bin/sh\n")


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
