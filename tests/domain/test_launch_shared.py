"""RunInstances where the engine has networks, types and images of its own."""

from dataclasses import replace

import pytest
from tests.support.desk import SHARED, Desk, refused

from econe.domain.engine_networks import make_engine_network
from econe.domain.engine_ports import NetworkSpec, NicSpec
from econe.domain.faults import Invalid, Missing, NotFound, Noun, Unavailable, Unsupported
from econe.domain.images import Content, DiskFormat, ImageState
from econe.domain.instances import InstanceState
from econe.domain.queries import Query
from econe.domain.sizes import CATALOGUE, Size
from econe.domain.specs import machine_spec

CONTENT = Content("19ead5de585f43282acab4060bfb7a07", DiskFormat.QCOW2, 4096, 3 << 30)


@pytest.fixture
def ada(helen: Desk) -> Desk:
    """helen, in a cloud whose engine has the networks 0, her default one, and 1."""
    with helen.store.writing() as tx:
        number = helen.account.number
        for vpc in tx.vpcs.find(Query(account=number)).items:
            tx.vpcs.save(replace(vpc, is_default=False))
        for ref in ("0", "1"):
            make_engine_network(
                tx,
                number,
                ref=ref,
                cidr=f"10.{ref}.0.0/24",
                zone="us-east-1a",
                now=helen.now,
                is_default=ref == "0",
            )
    return helen.on(SHARED)


def subnets(desk):
    """By the engine's name."""
    with desk.store.reading() as tx:
        rows = tx.subnets.find(Query(account=desk.account.number)).items
    return {row.engine_ref: row.id for row in rows}


def image(desk, state=ImageState.AVAILABLE, **changes):
    made = desk("UploadImage", content=CONTENT)["ImageId"]
    desk("RegisterImage", ImageLocation=made)
    with desk.store.writing() as tx:
        tx.images.save(replace(tx.images.get(made), state=state, **changes))
    return made


# --- networks


def test_an_address_cannot_be_chosen(ada):
    with refused(Unsupported, Noun.PARAMETER, "cannot be chosen"):
        ada.launch(ImageId=image(ada), PrivateIpAddress="10.0.0.9")


def test_an_instance_has_no_interface_before_the_engine_gave_it_an_address(ada):
    (id_,) = ada.launch(ImageId=image(ada))
    row = ada.row(id_)
    assert row.state is InstanceState.PENDING
    assert row.interfaces == ()
    assert row.subnet_id == subnets(ada)["0"]
    assert len(row.volumes) == 1
    assert ada.instances(InstanceIds=[id_])[0]["SecurityGroups"] == []


def test_the_subnet_says_which_network_of_the_engine_it_is_to_be(ada):
    (id_,) = ada.launch(ImageId=image(ada), SubnetId=subnets(ada)["1"])
    with ada.store.reading() as tx:
        row = tx.instances.get(id_)
        (nic,) = machine_spec(tx, row, CATALOGUE).nics
    network = NetworkSpec(
        row.vpc_id, "10.1.0.0/24", row.subnet_id, "10.1.0.0/24", is_default=False, engine_ref="1"
    )
    assert nic == NicSpec("", "", "", network, "")


def test_anothers_subnet_and_one_that_econe_made_are_not_found(ada, paris):
    for other in (subnets(paris)[""], subnets(ada)[""], "subnet-00000099"):
        with refused(NotFound, Noun.SUBNET, other):
            ada.launch(ImageId=image(ada), SubnetId=other)


def test_without_a_default_network_a_subnet_must_be_named(ada):
    with ada.store.writing() as tx:
        for vpc in tx.vpcs.find(Query(account=ada.account.number)).items:
            tx.vpcs.save(replace(vpc, is_default=False))
    with refused(Missing, Noun.VPC):
        ada.launch(ImageId=image(ada))
    assert ada.launch(ImageId=image(ada), SubnetId=subnets(ada)["1"])


def test_the_group_is_the_networks_default_one(ada):
    assert ada.launch(ImageId=image(ada), SecurityGroups=["default"])
    with refused(NotFound, Noun.SECURITY_GROUP, "web"):
        ada.launch(ImageId=image(ada), SecurityGroups=["web"])


def test_a_small_subnet_never_has_less_than_no_address(ada):
    with ada.store.writing() as tx:
        (row,) = tx.subnets.many([subnets(ada)["1"]])
        tx.subnets.save(replace(row, cidr="10.1.0.5/32"))
    free = {
        each["SubnetId"]: each["AvailableIpAddressCount"]
        for each in ada("DescribeSubnets")["Subnets"]
    }
    assert (free[subnets(ada)["1"]], free[subnets(ada)["0"]]) == (0, 251)


# --- what this engine cannot do


@pytest.mark.parametrize(
    "asked",
    [
        {"MetadataOptions": {"HttpTokens": "required"}},
        {
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}
            ]
        },
        {"NetworkInterfaces": [{"DeviceIndex": 0, "DeleteOnTermination": False}]},
        {
            "TagSpecifications": [
                {"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}
            ]
        },
    ],
)
def test_what_the_engine_cannot_do_is_refused_by_name(ada, asked):
    with refused(Unsupported, Noun.PARAMETER, "of this cloud"):
        ada.launch(ImageId=image(ada), **asked)


def test_what_is_so_anyway_may_be_said(ada):
    (id_,) = ada.launch(
        ImageId=image(ada),
        MetadataOptions={"HttpEndpoint": "disabled"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True}}],
    )
    (shown,) = ada.instances(InstanceIds=[id_])
    assert shown["MetadataOptions"]["HttpEndpoint"] == "disabled"


# --- types


def test_types_of_the_engine_can_be_had_and_an_administrators_wins(ada, paris):
    own = Size("own.small", 1, 256, owner=ada.account.number, engine_ref="8")
    with ada.store.writing() as tx:
        tx.sizes.replace(
            [
                own,
                replace(own, name="m1.small", memory_mib=1),
                Size("m1.small", 3, 300, engine_ref="7"),
            ]
        )
    small, mine = ada.launch(ImageId=image(ada)) + ada.launch(
        ImageId=image(ada), InstanceType="own.small"
    )
    row = ada.row(small)
    assert (row.vcpus, row.memory_mib, row.instance_type) == (3, 300, "m1.small")
    assert ada.row(mine).memory_mib == 256
    with refused(Invalid, Noun.INSTANCE_TYPE):
        paris.launch(InstanceType="own.small")
    names = [each["InstanceType"] for each in ada("DescribeInstanceTypes")["InstanceTypes"]]
    assert "own.small" in names
    assert "t3.micro" in names
    assert ada("DescribeInstanceTypes", InstanceTypes=["m1.small"])["InstanceTypes"][0][
        "MemoryInfo"
    ] == {"SizeInMiB": 300}
    with refused(NotFound, Noun.INSTANCE_TYPE):
        paris("DescribeInstanceTypes", InstanceTypes=["own.small"])


def test_without_a_catalogue_only_the_engines_types_are_left(ada):
    bare = replace(ada, cloud=replace(ada.cloud, sizes={}))
    with ada.store.writing() as tx:
        tx.sizes.replace([Size("one.small", 1, 128)])
    (shown,) = bare("DescribeInstanceTypes")["InstanceTypes"]
    assert shown["InstanceType"] == "one.small"
    with refused(Invalid, Noun.INSTANCE_TYPE, "m1.small"):
        bare.launch(ImageId=image(ada))


def test_an_instance_shows_the_cpus_it_has_whatever_became_of_its_type(ada):
    with ada.store.writing() as tx:
        tx.sizes.replace([Size("one.four", 4, 128)])
    (id_,) = ada.launch(ImageId=image(ada), InstanceType="one.four")
    with ada.store.writing() as tx:
        tx.sizes.replace([])
    assert ada.instances(InstanceIds=[id_])[0]["CpuOptions"]["CoreCount"] == 4


def test_how_many_must_succeed_is_kept(ada):
    made = ada("RunInstances", ImageId=image(ada), MinCount=2, MaxCount=3)["Instances"]
    assert [ada.row(each["InstanceId"]).at_least for each in made] == [2, 2, 2]


# --- images


@pytest.mark.parametrize(
    ("state", "why"), [(ImageState.PENDING, "not available yet"), (ImageState.FAILED, "has failed")]
)
def test_an_image_that_the_engine_has_not_taken_cannot_be_run(ada, state, why):
    with refused(Unavailable, Noun.IMAGE, why):
        ada.launch(ImageId=image(ada, state))


def test_a_shared_image_can_be_run_by_the_account_and_by_its_groups(ada, paris):
    shared = paris.on(SHARED)
    for shares in ((ada.account.number,), ("group:7", "group:5")):
        other = image(shared, shares=shares)
        with ada.store.writing() as tx:
            tx.accounts.save(replace(ada.account, groups=("5", "6")))
        assert ada.launch(ImageId=other)
    with refused(NotFound, Noun.IMAGE):
        ada.launch(ImageId=image(shared, shares=("group:7", paris.account.number)))
