"""CpuOptions as users ask for them; what a guest sees of it is in tests/e2e/test_topology.py."""

from dataclasses import replace

import pytest
from tests.support.desk import Desk, refused

from econe.domain.capacity import Capacity
from econe.domain.engine_ports import ANY_ENGINE
from econe.domain.faults import Invalid, Missing, NoCapacity, Noun, Unsupported, WrongState
from econe.domain.specs import machine_spec


@pytest.fixture
def desk(helen: Desk) -> Desk:
    """Over an engine that shows threads."""
    return helen.on(replace(helen.cloud.can, topology=True))


def options(cores: int, threads: int) -> dict[str, int]:
    return {"CoreCount": cores, "ThreadsPerCore": threads}


def shown(desk: Desk, id_: str) -> dict[str, int]:
    (view,) = desk.instances(InstanceIds=[id_])
    return dict(view["CpuOptions"])


def stopped(desk: Desk, **asked: object) -> str:
    (id_,) = desk.running(**asked)
    desk("StopInstances", InstanceIds=[id_])
    desk.halted([id_])
    return id_


def test_an_instance_has_its_types_cores_and_threads(desk: Desk):
    (id_,) = desk.launch(InstanceType="m5.xlarge")
    assert shown(desk, id_) == options(2, 2)
    assert desk.row(id_).vcpus == 4


def test_what_was_chosen_is_shown_and_told_to_the_engine(desk: Desk):
    (id_,) = desk.launch(InstanceType="m5.xlarge", CpuOptions=options(1, 2))
    assert shown(desk, id_) == options(1, 2)
    with desk.store.reading() as tx:
        spec = machine_spec(tx, desk.row(id_), desk.cloud.sizes)
    assert (spec.vcpus, spec.threads_per_core, spec.memory_mib) == (2, 2, 16384)


def test_it_lasts_over_a_stop_and_a_start(desk: Desk):
    id_ = stopped(desk, InstanceType="m5.xlarge", CpuOptions=options(2, 1))
    desk("StartInstances", InstanceIds=[id_])
    assert shown(desk, id_) == options(2, 1)


@pytest.mark.parametrize(
    "given", [{"CoreCount": 1}, {"ThreadsPerCore": 2}], ids=["no threads", "no cores"]
)
def test_half_of_it_is_refused(desk: Desk, given):
    with refused(Missing, Noun.PARAMETER, "both CoreCount and ThreadsPerCore"):
        desk.launch(InstanceType="m5.xlarge", CpuOptions=given)


def test_what_the_type_has_not_is_refused(desk: Desk):
    with refused(Invalid, Noun.PARAMETER, "CoreCount value 4"):
        desk.launch(InstanceType="m5.xlarge", CpuOptions=options(4, 1))
    with refused(Unsupported, Noun.PARAMETER, "t2.medium"):
        desk.launch(InstanceType="t2.medium", CpuOptions=options(1, 1))


def test_an_engine_without_threads_has_cores(helen: Desk):
    bare = helen.on(ANY_ENGINE)
    (id_,) = bare.launch(InstanceType="m5.xlarge")
    assert shown(bare, id_) == options(4, 1)
    (id_,) = bare.launch(InstanceType="m5.xlarge", CpuOptions=options(3, 1))
    assert (shown(bare, id_), bare.row(id_).vcpus) == (options(3, 1), 3)
    with refused(Invalid, Noun.PARAMETER, "ThreadsPerCore value 2"):
        bare.launch(InstanceType="m5.xlarge", CpuOptions=options(2, 2))


def test_only_the_vcpus_that_are_really_used_count(desk: Desk):
    cloud = replace(desk.cloud, capacity=Capacity(vcpus=4))
    small = replace(desk, cloud=cloud)
    with pytest.raises(NoCapacity):
        small.launch(InstanceType="m5.2xlarge")
    small.launch(InstanceType="m5.2xlarge", CpuOptions=options(1, 1))
    small.launch(InstanceType="m5.2xlarge", CpuOptions=options(3, 1))
    with pytest.raises(NoCapacity):
        small.launch()


# --- later changes -----------------------------------------------------------------------


def test_another_type_brings_its_own(desk: Desk):
    id_ = stopped(desk, InstanceType="m5.xlarge", CpuOptions=options(1, 1))
    desk("ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": "c5.2xlarge"})
    assert shown(desk, id_) == options(4, 2)
    desk("ModifyInstanceAttribute", InstanceId=id_, InstanceType={"Value": "t2.medium"})
    assert shown(desk, id_) == options(2, 1)


def test_a_stopped_one_can_be_given_others(desk: Desk):
    id_ = stopped(desk, InstanceType="m5.xlarge")
    made = desk("ModifyInstanceCpuOptions", InstanceId=id_, **options(2, 1))
    assert made == {"InstanceId": id_, **options(2, 1)}
    assert shown(desk, id_) == options(2, 1)
    assert desk.row(id_).vcpus == 2
    with refused(Invalid, Noun.PARAMETER, "ThreadsPerCore value 3"):
        desk("ModifyInstanceCpuOptions", InstanceId=id_, **options(2, 3))
    with refused(Missing, Noun.PARAMETER, "both CoreCount and ThreadsPerCore"):
        desk("ModifyInstanceCpuOptions", InstanceId=id_, CoreCount=1)
    with refused(Missing, Noun.PARAMETER, "must be specified"):
        desk("ModifyInstanceCpuOptions", InstanceId=id_)


def test_a_running_one_cannot(desk: Desk):
    (id_,) = desk.running(InstanceType="m5.xlarge")
    with refused(WrongState, Noun.INSTANCE, id_):
        desk("ModifyInstanceCpuOptions", InstanceId=id_, **options(1, 1))


def test_nor_can_one_that_others_command_too(desk: Desk):
    id_ = stopped(desk, InstanceType="m5.xlarge")
    shared = desk.on(replace(desk.cloud.can, shared=True))
    with refused(Unsupported, Noun.PARAMETER, "CpuOptions cannot be changed in this cloud"):
        shared("ModifyInstanceCpuOptions", InstanceId=id_, **options(1, 1))


def test_nor_can_one_that_may_have_memory_to_come_back_to(desk: Desk):
    able = desk.on(replace(desk.cloud.can, hibernation=True))
    id_ = stopped(able, InstanceType="m5.xlarge", HibernationOptions={"Configured": True})
    with refused(Unsupported, Noun.HIBERNATION, id_):
        able("ModifyInstanceCpuOptions", InstanceId=id_, **options(1, 1))


# --- launch templates and types ----------------------------------------------------------


def test_a_template_may_say_it(desk: Desk):
    data = {"InstanceType": "m5.xlarge", "CpuOptions": options(1, 2)}
    made = desk("CreateLaunchTemplate", LaunchTemplateName="cpu", LaunchTemplateData=data)
    assert "Warning" not in made
    named = {"LaunchTemplateName": "cpu"}
    (id_,) = desk.launch(LaunchTemplate=named)
    assert shown(desk, id_) == options(1, 2)
    (other,) = desk.launch(LaunchTemplate=named, CpuOptions={"CoreCount": 2})
    assert shown(desk, other) == options(2, 2)
    told = desk("GetLaunchTemplateData", InstanceId=id_)["LaunchTemplateData"]
    assert told["CpuOptions"] == options(1, 2)


def test_a_template_is_warned_of_what_its_type_has_not(desk: Desk):
    data = {"InstanceType": "t2.micro", "CpuOptions": options(1, 1)}
    made = desk("CreateLaunchTemplate", LaunchTemplateName="cpu", LaunchTemplateData=data)
    (error,) = made["Warning"]["Errors"]
    assert error["Code"] == "UnsupportedOperation"


def test_parameters_of_a_type_without_choice_can_be_launched(desk: Desk):
    (id_,) = desk.launch(InstanceType="t2.medium")
    told = desk("GetLaunchTemplateData", InstanceId=id_)["LaunchTemplateData"]
    assert "CpuOptions" not in told


def types(desk: Desk, **asked: object) -> dict[str, dict[str, object]]:
    made = desk("DescribeInstanceTypes", **asked)["InstanceTypes"]
    return {each["InstanceType"]: each["VCpuInfo"] for each in made}


def test_types_say_what_can_be_chosen(desk: Desk):
    told = types(desk, InstanceTypes=["m5.xlarge", "t2.medium"])
    assert told["m5.xlarge"] == {
        "DefaultCores": 2,
        "DefaultThreadsPerCore": 2,
        "DefaultVCpus": 4,
        "ValidCores": [1, 2],
        "ValidThreadsPerCore": [1, 2],
    }
    assert told["t2.medium"] == {
        "DefaultCores": 2,
        "DefaultThreadsPerCore": 1,
        "DefaultVCpus": 2,
    }


def test_types_are_found_by_it(desk: Desk):
    def found(name: str, value: str) -> set[str]:
        return set(types(desk, Filters=[{"Name": name, "Values": [value]}]))

    assert "c5.18xlarge" in found("vcpu-info.default-cores", "36")
    assert "t2.micro" in found("vcpu-info.default-threads-per-core", "1")
    assert "t2.micro" not in found("vcpu-info.valid-threads-per-core", "*")
    assert "m5.xlarge" in found("vcpu-info.valid-cores", "2")
