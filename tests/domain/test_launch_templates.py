"""Launch templates: names, numbers, and parameters laid over each other. The rules and where EC2
says them stand at the top of domain/launch_templates.py."""

import copy
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.store.made import NOW
from tests.support.desk import refused

from econe.domain.faults import Invalid, Malformed, Noun
from econe.domain.launch_templates import (
    NAMED_BY,
    LaunchTemplate,
    TemplateVersion,
    check_description,
    check_name,
    marks_of,
    overlay,
    read_number,
    resolve,
    revise,
    written,
)

# --- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abc", "a" * 128, "Web-server_1(prod)/eu.west", "---"])
def test_names_that_ec2_takes(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 129, "two words", "naïve", "a\nbc", "a+b+c", "١٢٣"]
)
def test_names_that_ec2_does_not_take(name):
    with refused(Malformed, Noun.LAUNCH_TEMPLATE_NAME, name):
        check_name(name)


def test_a_description_has_255_characters_at_most():
    check_description("ü" * 255)
    with refused(Invalid, Noun.PARAMETER, "255"):
        check_description("x" * 256)


# --- numbers -----------------------------------------------------------------------------

TEMPLATE = LaunchTemplate(
    "lt-00000001",
    "1",
    "web",
    created_at=NOW,
    default_number=2,
    latest_number=5,
    last_number=7,
)


@pytest.mark.parametrize(
    ("text", "number"), [("$Default", 2), ("$Latest", 5), ("3", 3), ("007", 7), ("0", 0)]
)
def test_what_a_version_is_called(text, number):
    assert resolve(TEMPLATE, text) == number


@pytest.mark.parametrize(
    "text", ["", "$latest", "latest", "-1", "1.0", " 1", "١", "²", "1" * 19, "$Default "]
)
def test_what_no_version_is_called(text):
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION, "'$Default', '$Latest', or a numeric"):
        resolve(TEMPLATE, text)
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION, "a numeric version is expected"):
        read_number(text)


@given(st.integers(0, 10**18 - 1))
def test_every_number_is_read(number):
    assert read_number(str(number)) == number


@given(st.text())
def test_any_text_is_a_version_or_refused(text):
    with suppress(Invalid):
        assert isinstance(resolve(TEMPLATE, text), int)


def test_a_version_shows_no_user_data_by_accident():
    version = TemplateVersion("lt-00000001", 1, NOW, written({"UserData": "c2VjcmV0"}))
    assert "c2VjcmV0" not in repr(version)
    assert version.parameters == {"UserData": "c2VjcmV0"}


def test_nobody_changes_a_version_through_its_parameters():
    version = TemplateVersion("lt-00000001", 1, NOW, written({"SecurityGroupIds": ["sg-1"]}))
    version.parameters["SecurityGroupIds"].append("sg-2")
    assert version.parameters == {"SecurityGroupIds": ["sg-1"]}


def test_the_marks_name_the_template_and_the_number():
    version = TemplateVersion("lt-00000012", 3, NOW, written({}))
    assert marks_of(version) == {
        "aws:ec2launchtemplate:id": "lt-00000012",
        "aws:ec2launchtemplate:version": "3",
    }


# --- a version over its source -----------------------------------------------------------


def test_a_given_parameter_replaces_the_sources_and_others_stay():
    source = {"ImageId": "ami-1", "InstanceType": "m1.small"}
    assert revise(source, {"ImageId": "ami-2"}) == {"ImageId": "ami-2", "InstanceType": "m1.small"}


def test_a_given_structure_replaces_the_sources_whole():
    source = {
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1"}, {"DeviceName": "/dev/sdb"}],
    }
    given_ = {
        "MetadataOptions": {"HttpTokens": "optional"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/sdc"}],
    }
    assert revise(source, given_) == given_


# --- a launch over its template ----------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "request_", "together"),
    [
        ({}, {}, {}),
        ({"ImageId": "ami-1"}, {}, {"ImageId": "ami-1"}),
        ({}, {"ImageId": "ami-1"}, {"ImageId": "ami-1"}),
        ({"InstanceType": "a"}, {"InstanceType": "b"}, {"InstanceType": "b"}),
        ({"EbsOptimized": False}, {"ImageId": "i"}, {"EbsOptimized": False, "ImageId": "i"}),
        (  # lists of plain values are replaced
            {"SecurityGroupIds": ["sg-1", "sg-2"]},
            {"SecurityGroupIds": ["sg-3"]},
            {"SecurityGroupIds": ["sg-3"]},
        ),
        (  # "plus any additional nested parameters that you specify"
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}},
            {"MetadataOptions": {"HttpPutResponseHopLimit": 5}},
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 5}},
        ),
    ],
)
def test_the_request_wins_member_by_member(template, request_, together):
    assert overlay(template, request_) == together


def tags(kind, **given_):
    return {
        "ResourceType": kind,
        "Tags": [{"Key": key, "Value": value} for key, value in given_.items()],
    }


def test_tags_of_one_kind_are_joined_by_key():
    """User Guide: "launched with the tag Owner=TeamA as well as any other tags that are specified
    in the launch template. If the launch template has an existing tag with a key of Owner, the
    value is replaced with TeamA"."""
    template = {
        "TagSpecifications": [tags("instance", Owner="nobody", a="1"), tags("volume", v="")]
    }
    request_ = {"TagSpecifications": [tags("instance", Owner="TeamA", b="2")]}
    assert overlay(template, request_)["TagSpecifications"] == [
        tags("instance", Owner="TeamA", a="1", b="2"),
        tags("volume", v=""),
    ]


def disk(name, **ebs):
    return {"DeviceName": name, "Ebs": ebs}


def test_block_devices_are_joined_by_name():
    """User Guide: "with a volume with the device name /dev/xvdb as well as any other block device
    mappings that are specified in the launch template. If the launch template has an existing
    volume defined for /dev/xvdb, its values are replaced with the specified values"."""
    template = {"BlockDeviceMappings": [disk("/dev/xvda", VolumeSize=8), disk("/dev/xvdb")]}
    request_ = {
        "BlockDeviceMappings": [
            disk("/dev/xvdc", VolumeSize=1),
            disk("/dev/xvdb", VolumeSize=20, VolumeType="gp3"),
        ]
    }
    assert overlay(template, request_)["BlockDeviceMappings"] == [
        disk("/dev/xvda", VolumeSize=8),
        disk("/dev/xvdb", VolumeSize=20, VolumeType="gp3"),
        disk("/dev/xvdc", VolumeSize=1),
    ]


def test_what_the_request_leaves_open_of_a_disk_the_template_says():
    template = {"BlockDeviceMappings": [disk("/dev/sda1", VolumeSize=8, DeleteOnTermination=False)]}
    request_ = {"BlockDeviceMappings": [disk("/dev/sda1", VolumeSize=20)]}
    assert overlay(template, request_)["BlockDeviceMappings"] == [
        disk("/dev/sda1", VolumeSize=20, DeleteOnTermination=False)
    ]


def test_interfaces_are_joined_by_device_index():
    """API reference, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest: a template with
    secondary interfaces only gets its primary one "as a launch parameter"."""
    template = {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "a"}]}
    request_ = {"NetworkInterfaces": [{"DeviceIndex": 1}, {"DeviceIndex": 0, "SubnetId": "b"}]}
    assert overlay(template, request_)["NetworkInterfaces"] == [
        {"DeviceIndex": 0, "Groups": ["sg-1"], "SubnetId": "b"},
        {"DeviceIndex": 1},
    ]


def test_items_without_a_name_or_twice_of_one_stay_for_the_launch_to_refuse():
    template = {"BlockDeviceMappings": [{"Ebs": {}}, disk("a", VolumeSize=1), disk("a")]}
    request_ = {"BlockDeviceMappings": [{"Ebs": {}}, disk("a", VolumeSize=2), disk("a")]}
    assert overlay(template, request_)["BlockDeviceMappings"] == [
        {"Ebs": {}},
        disk("a", VolumeSize=2),
        disk("a"),
        {"Ebs": {}},
        disk("a"),
    ]


def test_many_items_are_joined_in_time():
    """A request may have ten thousand parameters."""
    many = {"BlockDeviceMappings": [disk(f"/dev/{number}") for number in range(10_000)]}
    assert overlay(many, copy.deepcopy(many)) == many


# --- laws --------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", "c"])


def unique(name_of, names, **members):
    """Lists as requests have them: each name once."""
    item = st.fixed_dictionaries({name_of: names}, optional=members)
    return st.lists(item, max_size=3, unique_by=lambda each: each[name_of])


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "ImageId": WORDS,
        "EbsOptimized": st.booleans(),
        "SecurityGroupIds": st.lists(WORDS, min_size=1, max_size=3),
        "MetadataOptions": st.fixed_dictionaries(
            {}, optional={"HttpTokens": WORDS, "HttpPutResponseHopLimit": st.integers(1, 3)}
        ),
        "BlockDeviceMappings": unique(
            "DeviceName",
            WORDS,
            Ebs=st.fixed_dictionaries(
                {}, optional={"VolumeSize": st.integers(1, 3), "VolumeType": WORDS}
            ),
        ),
        "NetworkInterfaces": unique("DeviceIndex", st.integers(0, 2), SubnetId=WORDS),
        "TagSpecifications": unique("ResourceType", WORDS, Tags=unique("Key", WORDS, Value=WORDS)),
    },
)


def facts(value, path=""):
    """What parameters say, one fact a leaf; items of named lists by their name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from facts(inner, f"{path}.{name}" if path else name)
    elif (plain := "".join(part for part in path.split("#")[::2])) in NAMED_BY:
        for item in value:
            yield from facts(item, f"{path}#{item[NAMED_BY[plain]]}#")
    else:
        yield path, value


def said(parameters):
    return {path: repr(value) for path, value in facts(parameters)}


@given(PARAMETERS, PARAMETERS)
def test_together_they_say_what_either_says_and_the_request_wins(template, request_):
    assert said(overlay(template, request_)) == {**said(template), **said(request_)}


@given(PARAMETERS)
def test_nothing_over_parameters_and_parameters_over_nothing_change_nothing(parameters):
    assert overlay(parameters, {}) == parameters
    assert overlay({}, parameters) == parameters
    assert overlay(parameters, parameters) == parameters


@given(PARAMETERS, PARAMETERS, PARAMETERS)
def test_three_layers_are_the_same_from_either_end(first, second, third):
    one = overlay(overlay(first, second), third)
    other = overlay(first, overlay(second, third))
    assert said(one) == said(other)


@given(PARAMETERS, PARAMETERS)
def test_neither_side_is_changed(template, request_):
    before = copy.deepcopy((template, request_))
    overlay(template, request_)
    revise(template, request_)
    assert (template, request_) == before


@given(PARAMETERS, PARAMETERS)
def test_a_revision_has_each_parameter_from_one_side_whole(source, given_):
    made = revise(source, given_)
    assert set(made) == set(source) | set(given_)
    assert all(made[name] == given_.get(name, source.get(name)) for name in made)


@given(PARAMETERS)
def test_parameters_come_back_as_they_were_written(parameters):
    assert TemplateVersion("lt-00000001", 1, NOW, written(parameters)).parameters == parameters
