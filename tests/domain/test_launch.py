"""RunInstances' rules. Codes and sentences are EC2's (API reference, error codes)."""

import base64
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.support.desk import refused

from econe.domain.accounts import Limits
from econe.domain.faults import (
    Conflict,
    Duplicate,
    InUse,
    Invalid,
    LimitExceeded,
    Malformed,
    Missing,
    NoCapacity,
    NotFound,
    Noun,
    Unavailable,
    Unsupported,
)
from econe.domain.instances import InstanceState
from econe.domain.launch import MOST_USER_DATA
from econe.domain.launch_rows import mac_of
from econe.domain.networks import NetworkInterface


def disk(device="/dev/sda1", **ebs):
    return {"DeviceName": device, "Ebs": ebs}


def test_a_launch_writes_instance_disk_and_interface_at_once(helen):
    (id_,) = helen.launch()
    row = helen.row(id_)
    assert row.state is InstanceState.PENDING
    assert (row.generation, row.asked_at, row.retry_at) == (1, helen.now, None)
    (volume,) = row.volumes
    assert (volume.device, volume.size_gib, volume.delete_on_termination) == ("/dev/sda1", 1, True)
    (interface,) = row.interfaces
    assert interface.mac == mac_of(interface.id) == "02:00:00:00:00:01"
    assert interface.private_ip == "172.31.0.4"
    assert [name for _, name in interface.groups] == ["default"]
    assert interface.attachment_id == interface.id.replace("eni-", "eni-attach-")


def test_instances_of_a_launch_share_a_reservation_and_count_from_zero(helen):
    rows = [helen.row(id_) for id_ in helen.launch(3)]
    assert len({row.reservation_id for row in rows}) == 1
    assert [row.launch_index for row in rows] == [0, 1, 2]
    assert len({row.private_ip for row in rows}) == 3
    assert len({row.interfaces[0].mac for row in rows}) == 3


def test_an_image_must_be_registered(helen):
    image = helen.image(registered=False)
    with refused(Unavailable, Noun.IMAGE, image):
        helen.launch(ImageId=image)


def test_a_deregistered_image_is_no_longer_available(helen):
    image = helen.image()
    helen("DeregisterImage", ImageId=image)
    with refused(Unavailable, Noun.IMAGE, "no longer available"):
        helen.launch(ImageId=image)


def test_anothers_private_image_does_not_exist(helen, paris):
    with refused(NotFound, Noun.IMAGE):
        helen.launch(ImageId=paris.image())


def test_anothers_public_image_can_be_run(helen, paris):
    image = paris.image()
    with paris.store.writing() as tx:
        tx.images.save(replace(tx.images.get(image), public=True))
    assert helen.launch(ImageId=image)


@pytest.mark.parametrize("image", ["ami-xyz", "i-00000001", "ami-", "disk.img"])
def test_a_malformed_image_id_is_said_to_be_one(helen, image):
    with refused(Malformed, Noun.IMAGE):
        helen.launch(ImageId=image)


def test_the_short_form_of_an_image_id_is_read(helen):
    helen.image()
    assert helen.launch(ImageId="ami-1")


def test_the_image_id_must_be_given(helen):
    with refused(Missing, Noun.PARAMETER, "ImageId"):
        helen("RunInstances", MinCount=1, MaxCount=1)


def test_the_type_is_m1_small_unless_another_is_asked_for(helen):
    first, second = helen.launch() + helen.launch(InstanceType="t3.micro")
    assert helen.row(first).instance_type == "m1.small"
    assert helen.row(second).instance_type == "t3.micro"


def test_an_unknown_type_is_an_invalid_value(helen):
    with refused(Invalid, Noun.INSTANCE_TYPE, "Invalid value 'x9.huge' for InstanceType."):
        helen.launch(InstanceType="x9.huge")


def test_an_unknown_key_is_not_found(helen):
    with refused(NotFound, Noun.KEY_PAIR):
        helen.launch(KeyName="mykey")


def test_a_keys_name_is_not_a_pattern(helen):
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    with refused(NotFound, Noun.KEY_PAIR):
        helen.launch(KeyName="my*")


def test_a_deleted_key_takes_no_access_away(helen):
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    (id_,) = helen.launch(KeyName="mykey")
    helen("DeleteKeyPair", KeyName="mykey")
    assert helen.row(id_).public_key.startswith("ssh-ed25519 ")
    assert helen.row(id_).key_name == "mykey"


@pytest.mark.parametrize(("least", "most"), [(0, 1), (-1, 5), (2, 1), (1, 0)])
def test_counts_must_make_sense(helen, least, most):
    with refused(Invalid, Noun.PARAMETER):
        helen("RunInstances", ImageId=helen.image(), MinCount=least, MaxCount=most)


def limited(desk, most):
    desk.cloud = replace(desk.cloud, limits=Limits(instances=most))
    return desk


def test_as_many_are_launched_as_fit(helen):
    made = limited(helen, 5)("RunInstances", ImageId=helen.image(), MinCount=2, MaxCount=100)
    assert len(made["Instances"]) == 5


def test_none_where_the_least_does_not_fit(helen):
    limited(helen, 5).launch(4)
    with refused(LimitExceeded, Noun.INSTANCE, "limit of 5"):
        helen("RunInstances", ImageId=helen.image(), MinCount=2, MaxCount=3)
    assert len(helen.shown()) == 4


def test_terminated_ones_and_other_accounts_do_not_count(helen, paris):
    paris.launch(3)
    limited(helen, 2).terminated(2)
    assert len(helen.launch(2)) == 2


def test_user_data_arrives_byte_for_byte(helen):
    data = bytes(range(256))
    (id_,) = helen.launch(UserData=base64.b64encode(data).decode())
    assert helen.row(id_).user_data.reveal() == data


def test_lines_in_base64_are_read(helen):
    (id_,) = helen.launch(UserData="aGVs\nbG8=\n")
    assert helen.row(id_).user_data.reveal() == b"hello"


@pytest.mark.parametrize("text", ["", "\n"])
def test_empty_user_data_is_none(helen, text):
    (id_,) = helen.launch(UserData=text)
    assert helen.row(id_).user_data is None


@pytest.mark.parametrize("text", ["#!/bin/sh", "aGVsbG8", "äöü=", "a=b=", "aGVs-_=="])
def test_user_data_that_is_not_base64_is_refused(helen, text):
    with refused(Invalid, Noun.USER_DATA, "Invalid BASE64"):
        helen.launch(UserData=text)


def test_user_data_may_have_16_kib_and_no_more(helen):
    fits = base64.b64encode(b"x" * MOST_USER_DATA).decode()
    assert helen.launch(UserData=fits)
    with refused(Invalid, Noun.USER_DATA, "User data is limited to 16384 bytes"):
        helen.launch(UserData=base64.b64encode(b"x" * (MOST_USER_DATA + 1)).decode())


def test_user_data_is_not_in_any_repr(helen):
    (id_,) = helen.launch(UserData=base64.b64encode(b"secret").decode())
    assert "secret" not in repr(helen.row(id_))
    assert base64.b64encode(b"secret").decode() not in repr(helen.row(id_))


def test_the_root_disk_is_as_large_as_the_image_in_whole_gib(helen):
    (id_,) = helen.launch(ImageId=helen.image(gib=7))
    assert helen.row(id_).volumes[0].size_gib == 7


def test_or_as_large_as_usual_if_that_is_more(helen):
    helen.cloud = replace(helen.cloud, root_gib=8)
    sizes = [
        helen.row(helen.launch(ImageId=helen.image(gib=gib))[0]).volumes[0].size_gib
        for gib in (1, 20)
    ]
    assert sizes == [8, 20]


def test_the_root_disk_grows_to_what_is_asked_for(helen):
    mapping = [disk(VolumeSize=12, VolumeType="gp2", DeleteOnTermination=False)]
    (id_,) = helen.launch(BlockDeviceMappings=mapping)
    (volume,) = helen.row(id_).volumes
    assert (volume.size_gib, volume.volume_type, volume.delete_on_termination) == (12, "gp2", False)


@pytest.mark.parametrize("size", [-5, 0, 6, 65537])
def test_it_must_hold_the_image_and_be_possible(helen, size):
    with refused(Invalid, Noun.BLOCK_DEVICE):
        helen.launch(ImageId=helen.image(gib=7), BlockDeviceMappings=[disk(VolumeSize=size)])


def test_other_disks_cannot_be_had_at_launch(helen):
    with refused(Unsupported, Noun.BLOCK_DEVICE, "/dev/sdf"):
        helen.launch(BlockDeviceMappings=[disk("/dev/sdf", VolumeSize=1)])


def test_one_device_is_mapped_once(helen):
    with refused(Duplicate, Noun.BLOCK_DEVICE):
        helen.launch(BlockDeviceMappings=[disk(), disk()])


def test_a_mapping_names_its_device(helen):
    with refused(Missing, Noun.PARAMETER, "DeviceName"):
        helen.launch(BlockDeviceMappings=[{"Ebs": {"VolumeSize": 5}}])


def test_volume_types_that_promise_speed_are_refused(helen):
    with refused(Unsupported, Noun.PARAMETER, "io2"):
        helen.launch(BlockDeviceMappings=[disk(VolumeType="io2")])


def test_the_default_network_may_be_named(helen):
    with helen.store.reading() as tx:
        (subnet,) = tx.subnets.many(["subnet-00000001"])
        (group,) = tx.security_groups.many(["sg-00000001"])
    helen.launch(
        SubnetId=subnet.id,
        SecurityGroupIds=[group.id],
        Placement={"AvailabilityZone": "us-east-1a", "Tenancy": "default"},
    )
    helen.launch(SecurityGroups=["default"])
    helen.launch(
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet.id, "Groups": [group.id]}]
    )


@pytest.mark.parametrize(
    ("asked", "kind", "noun"),
    [
        ({"SubnetId": "subnet-00000099"}, NotFound, Noun.SUBNET),
        ({"SubnetId": "default"}, Malformed, Noun.SUBNET),
        ({"SecurityGroupIds": ["sg-00000099"]}, NotFound, Noun.SECURITY_GROUP),
        ({"SecurityGroups": ["web"]}, NotFound, Noun.SECURITY_GROUP),
        ({"Placement": {"AvailabilityZone": "us-east-1b"}}, Invalid, Noun.ZONE),
        (
            {"SecurityGroups": ["default"], "SecurityGroupIds": ["sg-00000001"]},
            Conflict,
            Noun.PARAMETER,
        ),
        ({"NetworkInterfaces": [{}]}, Missing, Noun.PARAMETER),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, Unsupported, Noun.PARAMETER),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 0}]},
            Unsupported,
            Noun.NETWORK_INTERFACE,
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-00000001"},
            Conflict,
            Noun.PARAMETER,
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroups": ["default"]},
            Conflict,
            Noun.PARAMETER,
        ),
    ],
)
def test_any_other_network_is_refused(helen, asked, kind, noun):
    with refused(kind, noun):
        helen.launch(**asked)


def test_anothers_subnet_does_not_exist(helen, paris):
    with refused(NotFound, Noun.SUBNET):
        helen.launch(SubnetId="subnet-00000002")
    assert paris.launch(SubnetId="subnet-00000002")


@pytest.mark.parametrize(
    "asked",
    [
        {"EbsOptimized": True},
        {"Placement": {"Tenancy": "dedicated"}},
        {"CreditSpecification": {"CpuCredits": "standard"}},
        {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]},
        {"BlockDeviceMappings": [disk(Encrypted=True)]},
        {"MetadataOptions": {"HttpProtocolIpv6": "enabled"}},
    ],
)
def test_what_this_cloud_has_not_is_refused(helen, asked):
    with refused(Unsupported, Noun.PARAMETER, "not supported"):
        helen.launch(**asked)


def test_what_is_so_anyway_may_be_said(helen):
    assert helen.launch(
        InstanceType="t2.micro",
        Monitoring={"Enabled": False},
        EbsOptimized=False,
        DisableApiTermination=False,
        DisableApiStop=False,
        HibernationOptions={"Configured": False},
        CreditSpecification={"CpuCredits": "unlimited"},
        NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": False}],
        BlockDeviceMappings=[disk(Encrypted=False)],
        MetadataOptions={"HttpProtocolIpv6": "disabled", "HttpTokens": "required"},
    )


@pytest.mark.parametrize("hops", [0, 65])
def test_the_hop_limit_is_1_to_64(helen, hops):
    with refused(Invalid, Noun.PARAMETER):
        helen.launch(MetadataOptions={"HttpPutResponseHopLimit": hops})


def test_tags_go_to_what_they_name(helen):
    def spec(kind):
        return {"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]}

    kinds = ("instance", "volume", "network-interface")
    (id_,) = helen.launch(TagSpecifications=[spec(kind) for kind in kinds])
    row = helen.row(id_)
    assert row.tags == {"of": "instance"}
    assert row.volumes[0].tags == {"of": "volume"}
    assert row.interfaces[0].tags == {"of": "network-interface"}


@pytest.mark.parametrize("kind", ["image", "spot-instances-request"])
def test_tags_for_what_a_launch_does_not_make_are_refused(helen, kind):
    with refused(Invalid, Noun.PARAMETER, kind):
        helen.launch(TagSpecifications=[{"ResourceType": kind, "Tags": []}])


def test_reserved_tags_are_refused_and_nothing_is_made(helen):
    spec = {"ResourceType": "instance", "Tags": [{"Key": "aws:x", "Value": ""}]}
    with refused(Invalid, Noun.TAG):
        helen.launch(TagSpecifications=[spec])
    assert helen.shown() == []


def test_a_full_subnet_has_no_address_left(helen):
    with helen.store.writing() as tx:
        (subnet,) = tx.subnets.many(["subnet-00000001"])
        tx.subnets.save(replace(subnet, cidr="172.31.0.0/29"))  # 3 addresses
    assert len(helen.launch(3)) == 3
    with refused(NoCapacity, Noun.SUBNET):
        helen.launch()
    helen.now = helen.now.replace(hour=17)
    helen("TerminateInstances", InstanceIds=["i-1"])
    helen.gone(["i-00000001"])
    assert helen.row(helen.launch()[0]).private_ip == "172.31.0.4"


def test_addresses_go_round_before_they_come_again(helen):
    image = helen.image()
    seen = []
    for _ in range(4):
        (id_,) = helen.running(ImageId=image)
        seen.append(helen.row(id_).private_ip)
        helen("TerminateInstances", InstanceIds=[id_])
        helen.gone([id_])
    assert seen == [f"172.31.0.{last}" for last in (4, 5, 6, 7)]


def test_addresses_that_others_hold_are_passed_over(helen):
    (first,) = helen.launch()
    interface: NetworkInterface = helen.row(first).interfaces[0]
    with helen.store.writing() as tx:
        (eni,) = tx.next_ids("eni")
        tx.interfaces.add(
            replace(interface, id=eni, mac=mac_of(eni), private_ip="172.31.0.6", instance_id=None)
        )
    rows = [helen.row(id_) for id_ in helen.launch(3)]
    assert [row.private_ip for row in rows] == ["172.31.0.7", "172.31.0.8", "172.31.0.9"]


def test_ec2s_kept_back_addresses_are_never_given_out(helen):
    with helen.store.writing() as tx:
        (subnet,) = tx.subnets.many(["subnet-00000001"])
        tx.subnets.save(replace(subnet, cidr="172.31.0.0/28"))
    given = {IPv4Address(helen.row(id_).private_ip) for id_ in helen.launch(11)}
    network = list(IPv4Network("172.31.0.0/28"))
    assert given == set(network[4:-1])


def test_an_address_may_be_chosen(helen):
    (first,) = helen.launch(PrivateIpAddress="172.31.9.9")
    interface = {"DeviceIndex": 0, "PrivateIpAddress": "172.31.0.5"}
    (second,) = helen.launch(NetworkInterfaces=[interface])
    assert [helen.row(id_).private_ip for id_ in (first, second)] == ["172.31.9.9", "172.31.0.5"]
    others = [helen.row(id_).private_ip for id_ in helen.launch(9)]
    assert len({"172.31.9.9", "172.31.0.5", *others}) == 11


def test_an_address_is_free_again_once_its_instance_is_gone(helen):
    (id_,) = helen.launch(PrivateIpAddress="172.31.9.9")
    with refused(InUse, Noun.ADDRESS, "172.31.9.9"):
        helen.launch(PrivateIpAddress="172.31.9.9")
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    (again,) = helen.launch(PrivateIpAddress="172.31.9.9")
    assert helen.row(again).private_ip == "172.31.9.9"


@pytest.mark.parametrize(
    "address",
    ["172.31.0.0", "172.31.0.3", "172.31.15.255", "172.31.16.4", "10.0.0.4", "x", "::1", "1"],
)
def test_an_address_that_the_subnet_cannot_give_is_refused(helen, address):
    helen.launch()
    with refused(Invalid, Noun.PARAMETER, address):
        helen.launch(PrivateIpAddress=address)


def test_an_address_is_of_one_instance_and_one_place(helen):
    with refused(Conflict, Noun.PARAMETER, "more than one"):
        helen.launch(2, PrivateIpAddress="172.31.9.9")
    interface = {"DeviceIndex": 0, "PrivateIpAddress": "172.31.9.9"}
    with refused(Conflict, Noun.PARAMETER, "instance-level private IP address"):
        helen.launch(PrivateIpAddress="172.31.9.8", NetworkInterfaces=[interface])


def test_every_account_has_a_network_of_its_own(helen, paris):
    ours, theirs = helen.row(helen.launch()[0]), paris.row(paris.launch()[0])
    assert ours.vpc_id != theirs.vpc_id
    assert theirs.private_ip == "10.128.0.5"


def test_a_thousand_at_once_are_one_launch(helen):
    ids = helen.launch(1000)
    assert len(set(ids)) == 1000
    with helen.store.reading() as tx:
        rows = tx.instances.many(ids)
    assert len({row.private_ip for row in rows}) == 1000
