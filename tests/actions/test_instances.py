"""DescribeInstances and its neighbours, through the handlers and the real store."""

import base64
from dataclasses import replace

import pytest
from tests.support.desk import refused

from econe.actions.fragments import Fresh
from econe.actions.instance_filters import INSTANCE_FILTERS, STATUS_FILTERS
from econe.domain.faults import Malformed, NotFound, Noun, WrongState
from econe.domain.instances import InstanceState
from econe.wire.fragments import Rendered


def only(name, *values):
    return {"Filters": [{"Name": name, "Values": list(values)}]}


def test_a_running_instance_shows_what_clients_read(helen):
    """Terraform fails on a missing deviceIndex, volumeId, metadataOptions or cpuOptions
    (facts/clients.md, "Traps")."""
    (id_,) = helen.running(InstanceType="t3.medium", ClientToken="token")
    (view,) = helen.instances()
    (interface,) = view["NetworkInterfaces"]
    (mapping,) = view["BlockDeviceMappings"]
    assert view["State"] == {"Code": 16, "Name": "running"}
    assert view["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 1}
    assert view["MetadataOptions"]["State"] == "applied"
    assert view["PrivateIpAddress"] == interface["PrivateIpAddress"] == "172.31.0.4"
    assert view["PrivateDnsName"] == "ip-172-31-0-4.ec2.internal"
    assert "PublicIpAddress" not in view
    assert view["PublicDnsName"] == ""
    assert view["ClientToken"] == "token"
    assert view["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert interface["Attachment"]["DeviceIndex"] == 0
    assert interface["Attachment"]["Status"] == "attached"
    assert view["SecurityGroups"] == interface["Groups"] != []
    assert mapping["DeviceName"] == view["RootDeviceName"]
    assert mapping["Ebs"]["VolumeId"] == helen.row(id_).volumes[0].id
    assert mapping["Ebs"]["Status"] == "attached"
    assert "KeyName" not in view
    assert "StateReason" not in view
    assert view["Tags"] == []


def test_before_it_runs_its_disk_is_on_the_way(helen):
    helen.launch()
    (view,) = helen.instances()
    assert view["State"]["Name"] == "pending"
    assert view["BlockDeviceMappings"][0]["Ebs"]["Status"] == "attaching"


def test_a_stopped_instance_says_why(helen):
    ids = helen.running()
    helen("StopInstances", InstanceIds=ids)
    helen.halted(ids)
    (view,) = helen.instances()
    assert view["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert view["StateTransitionReason"] == "User initiated (2026-11-23 16:00:00 GMT)"
    assert view["PrivateIpAddress"] == "172.31.0.4"


def test_a_terminated_instance_is_in_no_network_any_more(helen):
    helen.terminated()
    (view,) = helen.instances()
    assert view["State"] == {"Code": 48, "Name": "terminated"}
    for name in ("NetworkInterfaces", "BlockDeviceMappings", "SecurityGroups"):
        assert view[name] == []
    for name in ("PrivateIpAddress", "SubnetId", "VpcId"):
        assert name not in view
    assert view["PrivateDnsName"] == ""


def test_where_ssh_reaches_it_is_told_if_not_at_its_address(helen):
    (id_,) = helen.running()
    with helen.store.writing() as tx:
        tx.instances.save(replace(tx.instances.get(id_), reach="127.0.0.1:40022"))
    (view,) = helen.instances()
    assert view["SshAddress"] == "127.0.0.1:40022"


def test_what_is_launched_is_shown_as_a_describe_shows_it(helen):
    tags = [
        {"ResourceType": kind, "Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]}
        for kind in ("instance", "volume", "network-interface")
    ]
    made = helen(
        "RunInstances", ImageId=helen.image(), MinCount=2, MaxCount=2, TagSpecifications=tags
    )
    (shown,) = helen("DescribeInstances")["Reservations"]
    assert made | {"Instances": helen.instances()} == shown | {"Instances": made["Instances"]}


def test_instances_stand_under_their_reservations(helen):
    image = helen.image()
    first, second = helen.launch(2, ImageId=image), helen.launch(1, ImageId=image)
    shown = helen("DescribeInstances")["Reservations"]
    assert [
        [each.structure["InstanceId"] for each in reservation["Instances"]] for reservation in shown
    ] == [first, second]
    assert {(r["OwnerId"], r["OwnerAlias"]) for r in shown} == {("111122223333", "helen")}


def test_accounts_see_their_own(helen, paris):
    ours, theirs = helen.launch(), paris.launch()
    assert (helen.shown(), paris.shown()) == (ours, theirs)
    with refused(NotFound, Noun.INSTANCE):
        helen("DescribeInstances", InstanceIds=theirs)
    with refused(NotFound, Noun.INSTANCE):
        helen("GetConsoleOutput", InstanceId=theirs[0])


def test_by_id_in_either_form(helen):
    ids = helen.launch(3)
    assert helen.shown(InstanceIds=["i-3", ids[0], "i-00000003"]) == [ids[0], ids[2]]


def test_ids_that_are_none_are_malformed(helen):
    for wrong in ("i-x", "x", "vol-00000001", "i-"):
        with refused(Malformed, Noun.INSTANCE):
            helen("DescribeInstances", InstanceIds=[wrong])


def test_an_id_of_amazons_form_names_nothing_here(helen):
    with refused(NotFound, Noun.INSTANCE):
        helen("DescribeInstances", InstanceIds=["i-0123456789abcdef0"])


def test_an_id_that_filters_leave_out_is_no_error(helen):
    ids = helen.launch()
    assert helen.shown(InstanceIds=ids, **only("instance-state-name", "running")) == []


def test_an_instance_that_never_ran_cannot_be_stopped(helen):
    """EC2's sentence, as quoted in cloud-custodian's pull request 6014. It can once it has run."""
    (id_,) = helen.launch()
    sentence = f"Instance '{id_}' cannot be stopped as it has never reached the 'running' state."
    with refused(WrongState, Noun.INSTANCE, sentence):
        helen("StopInstances", InstanceIds=[id_], Force=True)
    helen.started([id_])
    helen("StopInstances", InstanceIds=[id_])
    helen.halted([id_])
    helen("StartInstances", InstanceIds=[id_])
    assert helen.row(id_).state is InstanceState.PENDING
    helen("StopInstances", InstanceIds=[id_])
    assert helen.row(id_).state is InstanceState.STOPPING


# --- fragments: the hot path -------------------------------------------------------------


def test_what_is_rendered_is_not_loaded_again(helen, monkeypatch):
    ids = helen.launch(3)
    (reservation,) = helen("DescribeInstances")["Reservations"]
    for each in reservation["Instances"]:
        helen.fragments.rendered[each.fragment_key] = Rendered(each.fragment_key, b"<x/>")
    from econe.store.rows import InstanceRows

    monkeypatch.setattr(InstanceRows, "many", lambda *_: pytest.fail("rows were loaded"))
    (again,) = helen("DescribeInstances")["Reservations"]
    assert [type(each) for each in again["Instances"]] == [Rendered] * 3
    assert [each.fragment_key.id for each in again["Instances"]] == ids


def test_only_what_changed_is_loaded(helen):
    ids = helen.launch(3)
    (reservation,) = helen("DescribeInstances")["Reservations"]
    for each in reservation["Instances"]:
        helen.fragments.rendered[each.fragment_key] = Rendered(each.fragment_key, b"<x/>")
    helen("CreateTags", Resources=[ids[1]], Tags=[{"Key": "a", "Value": "b"}])
    (again,) = helen("DescribeInstances")["Reservations"]
    assert [type(each) for each in again["Instances"]] == [Rendered, Fresh, Rendered]
    assert again["Instances"][1].structure["Tags"] == [{"Key": "a", "Value": "b"}]


def test_statuses_that_are_rendered_are_not_loaded_again(helen, monkeypatch):
    helen.launch(3)
    every = helen("DescribeInstanceStatus", IncludeAllInstances=True)["InstanceStatuses"]
    for each in every:
        helen.fragments.rendered[each.fragment_key] = Rendered(each.fragment_key, b"<x/>")
    from econe.store.rows import InstanceRows

    monkeypatch.setattr(InstanceRows, "many", lambda *_: pytest.fail("rows were loaded"))
    again = helen("DescribeInstanceStatus", IncludeAllInstances=True)["InstanceStatuses"]
    assert [type(each) for each in again] == [Rendered] * 3


CHANGES = {
    "state": lambda desk, id_: desk("StopInstances", InstanceIds=[id_]),
    "tag": lambda desk, id_: desk("CreateTags", Resources=[id_], Tags=[{"Key": "a", "Value": ""}]),
    "untag": lambda desk, id_: desk("DeleteTags", Resources=[id_]),
    "started": lambda desk, id_: (
        desk("StopInstances", InstanceIds=[id_]),
        desk.halted([id_]),
        desk("StartInstances", InstanceIds=[id_]),
        desk.started([id_]),
    ),
    "gone": lambda desk, id_: (desk("TerminateInstances", InstanceIds=[id_]), desk.gone([id_])),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_that_shows_has_a_key_of_its_own(helen, change):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "old"}]}]
    (id_,) = helen.running(TagSpecifications=tags)

    def fragment():
        (reservation,) = helen("DescribeInstances")["Reservations"]
        return reservation["Instances"][0]

    before = fragment()
    helen.passes(1)
    change(helen, id_)
    after = fragment()
    assert before.structure != after.structure
    assert before.fragment_key != after.fragment_key


# --- filters -----------------------------------------------------------------------------


@pytest.fixture
def zoo(helen):
    """One instance with something in every field, and two others."""
    helen("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    helen.passes(0.25)
    (id_,) = helen.running(
        KeyName="mykey",
        InstanceType="t3.micro",
        ClientToken="tok*en",
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "we?b"}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "nic", "Value": "first"}]},
        ],
    )
    helen("StopInstances", InstanceIds=[id_])
    helen.passes(60)
    helen.launch()
    helen.terminated()
    return helen, id_


def test_all_filters_must_match_and_any_of_their_values(zoo):
    desk, id_ = zoo
    filters = [
        {"Name": "tag:Name", "Values": ["x", "w*"]},
        {"Name": "instance-state-code", "Values": ["64", "80"]},
    ]
    assert desk.shown(Filters=filters) == [id_]
    filters.append({"Name": "instance-type", "Values": ["m1.small"]})
    assert desk.shown(Filters=filters) == []


def test_a_terminated_instance_is_not_found_by_the_network_it_was_in(helen):
    helen.terminated()
    for name in INSTANCE_FILTERS.names():
        if name in ("vpc-id", "subnet-id") or name.startswith("network-interface."):
            assert helen.shown(**only(name, "*", "")) == [], name
    assert helen.shown(**only("instance-state-name", "terminated")) != []


# --- status ------------------------------------------------------------------------------


def statuses(desk, **asked):
    return {
        each["InstanceId"]: (
            each["InstanceState"]["Name"],
            each["SystemStatus"]["Status"],
            each["InstanceStatus"]["Status"],
        )
        for each in desk.statuses(**asked)
    }


def test_status_is_of_running_instances_unless_all_are_asked_for(helen):
    (running,), (pending,) = helen.running(), helen.launch()
    helen.examined([running])
    assert statuses(helen) == {running: ("running", "ok", "ok")}
    assert statuses(helen, IncludeAllInstances=True) == {
        running: ("running", "ok", "ok"),
        pending: ("pending", "not-applicable", "not-applicable"),
    }
    assert statuses(helen, InstanceIds=[pending]) == {}
    assert list(statuses(helen, InstanceIds=[pending], IncludeAllInstances=True)) == [pending]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("instance-state-name", "running", True),
        ("instance-state-code", "16", True),
        ("system-status.status", "ok", True),
        ("system-status.reachability", "passed", True),
        ("instance-status.status", "impaired", False),
        ("instance-status.reachability", "passed", True),
        ("availability-zone", "us-east-1?", True),
        ("availability-zone-id", "use1-az1", True),
        ("event.code", "*", False),
        ("operator.managed", "false", True),
        ("operator.managed", "true", False),
    ],
)
def test_status_filters(helen, name, value, found):
    helen.examined(helen.running())
    assert name in STATUS_FILTERS.names()
    assert bool(statuses(helen, **only(name, value))) is found


def test_status_of_unknown_instances_is_refused(helen):
    with refused(NotFound, Noun.INSTANCE):
        helen("DescribeInstanceStatus", InstanceIds=["i-5"])


# --- console ----------------------------------------------------------------------------


def test_the_console_is_told_in_base64(helen):
    (id_,) = helen.running()
    helen.consoles.written[id_] = (b"\x1b[0mlogin: \xff", helen.now)
    answer = helen("GetConsoleOutput", InstanceId="i-1", Latest=True)
    assert base64.b64decode(answer["Output"]) == b"\x1b[0mlogin: \xff"
    assert (answer["InstanceId"], answer["Timestamp"]) == (id_, helen.now)


def test_a_guest_that_wrote_nothing_has_no_output(helen):
    assert "Output" not in helen("GetConsoleOutput", InstanceId=helen.launch()[0])
