from dataclasses import replace

import pytest

from econe.domain.faults import Broken
from econe.domain.images import DiskFormat
from econe.domain.sizes import CATALOGUE, Size
from econe.domain.specs import machine_spec


def spec_of(desk, instance_id, sizes=CATALOGUE):
    with desk.store.reading() as tx:
        return machine_spec(tx, tx.instances.get(instance_id), sizes)


def test_an_engine_is_told_all_that_the_machine_is(helen):
    (id_,) = helen.launch(
        InstanceType="t3.medium",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}],
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9}}],
    )
    spec, row = spec_of(helen, id_), helen.row(id_)
    assert (spec.id, spec.name, spec.vcpus, spec.memory_mib) == (id_, "web", 2, 4096)
    (disk,) = spec.disks
    assert (disk.size_gib, disk.is_root, disk.location) == (9, True, row.image_location)
    assert disk.content_format is DiskFormat.RAW
    (nic,) = spec.nics
    assert nic.mac == row.interfaces[0].mac
    assert nic.private_ip == row.private_ip
    assert nic.hostname == "ip-" + row.private_ip.replace(".", "-")
    assert nic.network.vpc_cidr == "172.31.0.0/16"
    assert nic.network.subnet_cidr == "172.31.0.0/20"
    assert nic.network.is_default


def test_an_unnamed_machine_is_called_by_its_id(helen):
    (id_,) = helen.launch()
    assert spec_of(helen, id_).name == id_


def test_a_deregistered_image_still_says_what_the_disk_is_made_of(helen):
    (id_,) = helen.launch()
    helen("DeregisterImage", ImageId=helen.row(id_).image_id)
    assert spec_of(helen, id_).disks[0].location


def test_a_machine_stays_what_it_was_launched_as_whatever_becomes_of_its_type(helen):
    (id_,) = helen.launch(InstanceType="t3.medium")
    other = {"t3.medium": Size("t3.medium", 1, 1, engine_ref="7")}
    for sizes, ref in ((other, "7"), ({}, "")):
        spec = spec_of(helen, id_, sizes)
        assert (spec.vcpus, spec.memory_mib, spec.template_ref) == (2, 4096, ref)


def test_a_row_of_an_old_database_has_what_its_type_says(helen):
    (id_,) = helen.launch(InstanceType="t3.medium")
    with helen.store.writing() as tx:
        tx.instances.save(replace(tx.instances.get(id_), vcpus=0, memory_mib=0))
    assert spec_of(helen, id_).memory_mib == 4096
    with pytest.raises(Broken):
        spec_of(helen, id_, sizes={})
