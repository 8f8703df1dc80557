"""VPCs, subnets, groups, volumes, interfaces: rows, read as EC2 shows them."""

import pytest
from tests.support.desk import refused

from econe.actions.attachments import INTERFACES, VOLUMES
from econe.actions.filters import NOTHING
from econe.actions.networks import GROUPS, SUBNETS, VPCS
from econe.domain.faults import Malformed, NotFound, Noun

LISTINGS = [
    (VPCS, "Vpcs", "VpcId", Noun.VPC),
    (SUBNETS, "Subnets", "SubnetId", Noun.SUBNET),
    (GROUPS, "SecurityGroups", "GroupId", Noun.SECURITY_GROUP),
    (VOLUMES, "Volumes", "VolumeId", Noun.VOLUME),
    (INTERFACES, "NetworkInterfaces", "NetworkInterfaceId", Noun.NETWORK_INTERFACE),
]
EACH = pytest.mark.parametrize(
    ("listing", "member", "id_member", "noun"), LISTINGS, ids=[each[1] for each in LISTINGS]
)


def only(name, *values):
    return {"Filters": [{"Name": name, "Values": list(values)}]}


@EACH
def test_accounts_see_their_own_by_id_filter_and_tag(
    helen, paris, listing, member, id_member, noun
):
    helen.running()
    paris.running()
    (view,) = helen(listing.action)[member]
    own = view[id_member]
    (other,) = (each[id_member] for each in paris(listing.action)[member])
    helen("CreateTags", Resources=[own], Tags=[{"Key": "a", "Value": "b"}])
    for asked in ({listing.ids: [own]}, only("tag:a", "b"), only("tag-key", "a")):
        (found,) = helen(listing.action, **asked)[member]
        assert found[id_member] == own
        assert {"Key": "a", "Value": "b"} in found.get("Tags", found.get("TagSet"))
    assert helen(listing.action, **only("tag:a", "c"))[member] == []
    with refused(NotFound, noun, other):
        helen(listing.action, **{listing.ids: [own, other]})
    with refused(Malformed, noun):
        helen(listing.action, **{listing.ids: ["elephant"]})
    short = own.replace("-0000000", "-")
    (found,) = helen(listing.action, **only(f"{noun.value}-id".removeprefix("security-"), short))[
        member
    ]
    assert found[id_member] == own


@EACH
def test_every_filter_finds_something_exactly_if_something_has_it(
    helen, listing, member, id_member, noun
):
    helen.running()
    table = listing.table
    # `SnapshotId` is an empty text, which `*` matches, and there are no ports in "everything".
    without = {name for name in table.shown if name.endswith(("from-port", "to-port"))}
    for name in table.names():
        some = name in table.pushed or table.shown[name] != NOTHING
        found = helen(listing.action, **only(name, "*"))[member]
        assert bool(found) is (some and name not in without), name
        assert helen(listing.action, **only(name, "elephant"))[member] == [], name


def test_the_default_network_is_as_launches_use_it(helen):
    (id_,) = helen.running()
    row = helen.row(id_)
    (vpc,) = helen("DescribeVpcs", **only("isDefault", "true"))["Vpcs"]
    (subnet,) = helen("DescribeSubnets", **only("default-for-az", "true"))["Subnets"]
    (group,) = helen("DescribeSecurityGroups", GroupNames=["default"])["SecurityGroups"]
    assert vpc["VpcId"] == subnet["VpcId"] == group["VpcId"] == row.vpc_id
    assert subnet["SubnetId"] == row.subnet_id
    assert subnet["AvailableIpAddressCount"] == 4091 - 1
    assert subnet["SubnetArn"] == f"arn:aws:ec2:us-east-1:111122223333:subnet/{row.subnet_id}"
    assert row.interfaces[0].groups == ((group["GroupId"], "default"),)


def test_a_vpcs_associations_come_after_all_that_old_boto_knows(helen):
    """Its parser (2.49, boto/handler.py) ends the VPC with the first item of theirs."""
    helen.running()
    (vpc,) = helen("DescribeVpcs")["Vpcs"]
    assert [*vpc][-2:] == ["CidrBlockAssociationSet", "Ipv6CidrBlockAssociationSet"]


def test_a_group_that_there_is_not_is_not_found(helen):
    with refused(NotFound, Noun.SECURITY_GROUP, "web"):
        helen("DescribeSecurityGroups", GroupNames=["default", "web"])


def test_a_root_volume_is_attached_to_its_instance(helen):
    (id_,) = helen.launch()
    (volume,) = helen("DescribeVolumes")["Volumes"]
    assert (volume["State"], volume["Attachments"][0]["State"]) == ("creating", "attaching")
    helen.started([id_])
    (volume,) = helen("DescribeVolumes", **only("attachment.instance-id", id_))["Volumes"]
    assert (volume["State"], volume["Size"]) == ("in-use", 1)
    (attachment,) = volume["Attachments"]
    assert (attachment["InstanceId"], attachment["Device"]) == (id_, "/dev/sda1")
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    assert helen("DescribeVolumes")["Volumes"] == []


def test_what_outlives_its_instance_has_no_attachment(helen):
    (id_,) = helen.running(
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}],
        NetworkInterfaces=[{"DeviceIndex": 0, "DeleteOnTermination": False}],
    )
    helen("TerminateInstances", InstanceIds=[id_])
    helen.gone([id_])
    (volume,) = helen("DescribeVolumes", **only("status", "available"))["Volumes"]
    (interface,) = helen("DescribeNetworkInterfaces", **only("status", "available"))[
        "NetworkInterfaces"
    ]
    assert volume["Attachments"] == []
    assert "Attachment" not in interface
    assert helen("DescribeVolumes", **only("attachment.status", "*"))["Volumes"] == []


def test_listings_come_in_pages(helen):
    helen.launch(7)
    first = helen("DescribeVolumes", MaxResults=5)
    second = helen("DescribeVolumes", MaxResults=5, NextToken=first["NextToken"])
    assert (len(first["Volumes"]), len(second["Volumes"])) == (5, 2)
    assert "NextToken" not in second
