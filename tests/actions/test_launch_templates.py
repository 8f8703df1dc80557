import pytest
from tests.support.desk import refused

from econe.actions.launch_templates import DATA, DATA_SO, RUN_ONLY
from econe.actions.launching import SO, TAKES
from econe.domain.faults import (
    Conflict,
    Duplicate,
    Invalid,
    LimitExceeded,
    Malformed,
    Missing,
    NotFound,
    Noun,
    Unsupported,
)
from econe.domain.template_book import TemplateBook
from econe.wire import model

SMALL = {"InstanceType": "m1.small"}


def create(desk, name="web", data=SMALL, **asked):
    return desk("CreateLaunchTemplate", LaunchTemplateName=name, LaunchTemplateData=data, **asked)


def names(desk, **asked):
    shown = desk("DescribeLaunchTemplates", **asked)["LaunchTemplates"]
    return [each["LaunchTemplateName"] for each in shown]


def warnings(answer):
    return [each["Code"] for each in answer.get("Warning", {}).get("Errors", [])]


# --- making ------------------------------------------------------------------------------


def test_a_template_begins_with_version_1_as_its_default(helen):
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "of", "Value": "helen"}]}]
    made = create(helen, TagSpecifications=tags)
    assert made == {
        "LaunchTemplate": {
            "LaunchTemplateId": "lt-00000001",
            "LaunchTemplateName": "web",
            "CreateTime": helen.now,
            "CreatedBy": "arn:aws:iam::111122223333:root",
            "DefaultVersionNumber": 1,
            "LatestVersionNumber": 1,
            "Operator": {"Managed": False},
            "Tags": [{"Key": "of", "Value": "helen"}],
        }
    }
    assert helen("DescribeLaunchTemplates")["LaunchTemplates"] == [made["LaunchTemplate"]]


def test_a_name_is_taken_once_in_an_account_and_free_again_after(helen, paris):
    create(helen)
    with refused(Duplicate, Noun.LAUNCH_TEMPLATE_NAME, "web"):
        create(helen)
    create(helen, "Web")
    create(paris)
    helen("DeleteLaunchTemplate", LaunchTemplateName="web")
    assert create(helen)["LaunchTemplate"]["LaunchTemplateId"] == "lt-00000004"


@pytest.mark.parametrize("name", ["ab", "x" * 129, "two words", "naïve", ""])
def test_a_name_that_ec2_does_not_take_is_refused_everywhere(helen, name):
    by_name = {"LaunchTemplateName": name}
    with refused(Malformed, Noun.LAUNCH_TEMPLATE_NAME):
        create(helen, name)
    with refused(Malformed, Noun.LAUNCH_TEMPLATE_NAME):
        helen("DescribeLaunchTemplates", LaunchTemplateNames=[name])
    if name:
        with refused(Malformed, Noun.LAUNCH_TEMPLATE_NAME):
            helen("DeleteLaunchTemplate", **by_name)


def test_only_the_template_is_tagged_by_its_own_specification(helen):
    with refused(Invalid, Noun.PARAMETER, "instance"):
        create(helen, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a"}]}])
    with refused(Invalid, Noun.TAG, "aws:"):
        tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "aws:a"}]}]
        create(helen, TagSpecifications=tags)
    with refused(Invalid, Noun.PARAMETER, "255"):
        create(helen, VersionDescription="x" * 256)
    assert names(helen) == []


def test_an_account_has_as_many_as_ec2_lets_it_have(helen):
    create(helen)
    with refused(LimitExceeded, Noun.LAUNCH_TEMPLATE), helen.store.writing() as tx:
        TemplateBook(most_templates=1).create(
            tx,
            helen.account.number,
            name="two",
            description="",
            parameters=SMALL,
            tags={},
            now=helen.now,
        )
    assert (TemplateBook().most_templates, TemplateBook().most_versions) == (5_000, 10_000)


# --- what a template may hold ------------------------------------------------------------


def test_a_template_may_hold_what_a_launch_may_say_and_nothing_else():
    """Of what RunInstances takes, the model leaves out of a template's data just RUN_ONLY."""
    data = model.load().expect("CreateLaunchTemplate").input_shape.members["LaunchTemplateData"]

    def has(path):
        shape = data
        for name in path.split("."):
            shape = getattr(shape, "member", shape).members.get(name)
            if shape is None:
                return False
        return True

    taken = {*TAKES.split(), *SO}
    assert {path for path in taken if not has(path)} == RUN_ONLY
    assert {path.partition(".")[2] for path in [*DATA.split(), *DATA_SO]} == taken - RUN_ONLY


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"EbsOptimized": True}, "EbsOptimized"),
        ({"Monitoring": {"Enabled": True}}, "Monitoring.Enabled"),
        ({"CreditSpecification": {"CpuCredits": "standard"}}, "CpuCredits"),
        ({"NetworkInterfaces": [{"AssociatePublicIpAddress": True}]}, "AssociatePublicIpAddress"),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "DeviceIndex"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {}]}, "one network interface"),
        ({"BlockDeviceMappings": [{"DeviceName": "a", "Ebs": {"VolumeType": "io2"}}]}, "io2"),
    ],
)
def test_what_this_cloud_has_not_is_refused_when_the_template_is_made(helen, data, text):
    for whole in (data, {**data, "SecurityGroupIds": ["sg-1"]}):
        with pytest.raises(Unsupported) as caught:
            create(helen, data=whole)
        assert text in caught.value.said
    assert names(helen) == []


def test_a_disk_that_the_image_cannot_have_is_refused(helen):
    data = {"ImageId": helen.image(), "BlockDeviceMappings": [{"DeviceName": "/dev/sdf"}]}
    with refused(Unsupported, Noun.BLOCK_DEVICE, "Only the root device"):
        create(helen, data=data)


@pytest.mark.parametrize(
    ("data", "kind", "noun"),
    [
        ({"ImageId": "resolve:ssm:/aws/service/x"}, Malformed, Noun.IMAGE),
        ({"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "x"}]}, Malformed, Noun.SUBNET),
        ({"SecurityGroupIds": ["default"]}, Malformed, Noun.SECURITY_GROUP),
        ({"UserData": "no base64!"}, Malformed, Noun.USER_DATA),
        ({"UserData": "QUFB" * 5462}, Malformed, Noun.USER_DATA),
        ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, Invalid, Noun.PARAMETER),
        ({"TagSpecifications": [{"ResourceType": "elephant"}]}, Invalid, Noun.PARAMETER),
        (
            {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:a"}]}]},
            Invalid,
            Noun.TAG,
        ),
        (
            {"BlockDeviceMappings": [{"DeviceName": "a"}, {"DeviceName": "a"}]},
            Duplicate,
            Noun.BLOCK_DEVICE,
        ),
    ],
)
def test_what_is_wrong_in_itself_is_refused(helen, data, kind, noun):
    with refused(kind, noun):
        create(helen, data=data)


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        ({}, []),
        (SMALL, []),
        ({"ImageId": "ami-00000099"}, ["InvalidAMIID.NotFound"]),
        ({"ImageId": "ami-0123456789abcdef0"}, ["InvalidAMIID.NotFound"]),
        ({"KeyName": "gone"}, ["InvalidKeyPair.NotFound"]),
        ({"InstanceType": "x9.huge"}, ["InvalidParameterValue"]),
        ({"SecurityGroupIds": ["sg-00000099"]}, ["InvalidGroup.NotFound"]),
        ({"SecurityGroups": ["elephants"]}, ["InvalidGroup.NotFound"]),
        ({"Placement": {"AvailabilityZone": "mars-1a"}}, ["InvalidParameterValue"]),
        ({"NetworkInterfaces": [{"SubnetId": "subnet-00000001"}]}, ["MissingParameter"]),
        ({"BlockDeviceMappings": [{}]}, ["MissingParameter"]),
        (
            {
                "MetadataOptions": {"InstanceMetadataTags": "enabled"},
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [{"Key": "a/b", "Value": "c"}]}
                ],
            },
            ["InvalidParameterValue"],
        ),
        (
            {
                "NetworkInterfaces": [{"DeviceIndex": 0}],
                "SecurityGroups": ["default"],
                "KeyName": "gone",
            },
            ["InvalidParameterCombination", "InvalidKeyPair.NotFound"],
        ),
        (
            {"InstanceType": "x9.huge", "ImageId": "ami-00000099", "KeyName": "gone"},
            ["InvalidParameterValue", "InvalidKeyPair.NotFound", "InvalidAMIID.NotFound"],
        ),
    ],
)
def test_what_a_later_launch_may_mend_is_a_warning(helen, data, codes):
    """API reference, CreateLaunchTemplate: "an error code and an error message are returned for
    each issue that's found"; the template is made all the same."""
    made = create(helen, data=data)
    assert warnings(made) == codes
    (version,) = helen("DescribeLaunchTemplateVersions", LaunchTemplateName="web")[
        "LaunchTemplateVersions"
    ]
    assert version["LaunchTemplateData"] == data


def test_an_image_that_is_there_and_not_ready_is_a_warning(helen, paris):
    data = {"ImageId": helen.image(registered=False)}
    assert warnings(create(helen, data=data)) == ["InvalidAMIID.Unavailable"]
    assert warnings(create(paris, data=data)) == ["InvalidAMIID.NotFound"]


def test_a_disk_too_small_for_the_image_is_a_warning(helen):
    small = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}
    data = {"ImageId": helen.image(gib=2), "BlockDeviceMappings": [small]}
    assert warnings(create(helen, data=data)) == ["InvalidBlockDeviceMapping"]


# --- listing -----------------------------------------------------------------------------


def test_describing_by_id_name_and_filter(helen, paris):
    first = create(helen, "web-1")["LaunchTemplate"]
    helen.passes(1.5)
    tags = [{"ResourceType": "launch-template", "Tags": [{"Key": "Env", "Value": "prod"}]}]
    create(helen, "web-2", TagSpecifications=tags)
    create(paris, "other")
    assert names(helen) == ["web-1", "web-2"]
    assert names(helen, LaunchTemplateIds=["lt-1"]) == ["web-1"]
    assert names(helen, LaunchTemplateNames=["web-2", "web-2"]) == ["web-2"]
    for name, values, found in (
        ("launch-template-name", ["web-?"], ["web-1", "web-2"]),
        ("launch-template-name", ["web-1"], ["web-1"]),
        ("create-time", ["2026-11-23T16:00:00.000Z"], ["web-1"]),
        ("create-time", ["2026-11-23T16:00:01.0*"], ["web-2"]),
        ("tag:Env", ["prod"], ["web-2"]),
        ("tag-key", ["Env"], ["web-2"]),
        ("tag-key", ["env"], []),
    ):
        assert names(helen, Filters=[{"Name": name, "Values": values}]) == found
    by_tag = [{"Name": "tag-key", "Values": ["Env"]}]
    assert names(helen, LaunchTemplateIds=[first["LaunchTemplateId"]], Filters=by_tag) == []
    with refused(Invalid, Noun.PARAMETER, "elephant"):
        names(helen, Filters=[{"Name": "elephant", "Values": ["1"]}])


def test_ids_and_names_that_are_not_there_are_not_found(helen, paris):
    create(helen)
    create(paris, "other")
    text = "At least one of the launch templates specified in the request does not exist."
    for asked, noun in (
        ({"LaunchTemplateIds": ["lt-00000001", "lt-00000002"]}, Noun.LAUNCH_TEMPLATE),
        ({"LaunchTemplateIds": ["lt-0123456789abcdef0"]}, Noun.LAUNCH_TEMPLATE),
        ({"LaunchTemplateNames": ["web", "other"]}, Noun.LAUNCH_TEMPLATE_NAME),
        ({"LaunchTemplateNames": ["WEB"]}, Noun.LAUNCH_TEMPLATE_NAME),
    ):
        with refused(NotFound, noun, text):
            helen("DescribeLaunchTemplates", **asked)
    with refused(Malformed, Noun.LAUNCH_TEMPLATE, "web"):
        helen("DescribeLaunchTemplates", LaunchTemplateIds=["web"])


def test_pages_of_templates(helen):
    for number in range(5):
        create(helen, f"web-{number}")
    seen, token = [], None
    while True:
        asked = {"NextToken": token} if token else {}
        page = helen("DescribeLaunchTemplates", MaxResults=2, **asked)
        seen += [each["LaunchTemplateName"] for each in page["LaunchTemplates"]]
        token = page.get("NextToken")
        if token is None:
            break
    assert seen == [f"web-{number}" for number in range(5)]
    assert len(names(helen, MaxResults=1)) == 1
    for wrong in (0, 201):
        with refused(Invalid, Noun.PARAMETER, "maxResults"):
            names(helen, MaxResults=wrong)


# --- choosing a default and deleting -----------------------------------------------------


def test_the_default_version_is_whichever_was_chosen_last(helen):
    create(helen)
    helen("CreateLaunchTemplateVersion", LaunchTemplateName="web", LaunchTemplateData=SMALL)
    for chosen, number in (("2", 2), ("$Default", 2), ("1", 1), ("$Latest", 2)):
        made = helen("ModifyLaunchTemplate", LaunchTemplateId="lt-1", DefaultVersion=chosen)
        assert made["LaunchTemplate"]["DefaultVersionNumber"] == number
        assert made["LaunchTemplate"]["LatestVersionNumber"] == 2
    with refused(NotFound, Noun.LAUNCH_TEMPLATE_VERSION, "3"):
        helen("ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="3")
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION, "newest"):
        helen("ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="newest")
    with refused(Missing, Noun.PARAMETER, "lt-00000001"):
        helen("ModifyLaunchTemplate", LaunchTemplateName="web")


@pytest.mark.parametrize("by", [{"LaunchTemplateName": "web"}, {"LaunchTemplateId": "lt-00000001"}])
def test_deleting_a_template_deletes_its_versions_and_tags(helen, by):
    made = create(helen)["LaunchTemplate"]
    helen("CreateTags", Resources=["lt-00000001"], Tags=[{"Key": "a", "Value": "b"}])
    gone = helen("DeleteLaunchTemplate", **by)["LaunchTemplate"]
    assert gone == {**made, "Tags": [{"Key": "a", "Value": "b"}]}
    assert names(helen) == []
    assert helen("DescribeTags")["Tags"] == []
    with helen.store.reading() as tx:
        assert tx.template_versions.numbers("lt-00000001") == []


ON_ONE = {
    "CreateLaunchTemplateVersion": {"LaunchTemplateData": SMALL},
    "DeleteLaunchTemplate": {},
    "DeleteLaunchTemplateVersions": {"Versions": ["2"]},
    "DescribeLaunchTemplateVersions": {"Versions": ["1"]},
    "ModifyLaunchTemplate": {"DefaultVersion": "1"},
}


@pytest.mark.parametrize("action", ON_ONE)
def test_one_template_is_named_by_its_id_or_its_name(helen, paris, action):
    create(paris)
    more = ON_ONE[action]
    with refused(NotFound, Noun.LAUNCH_TEMPLATE, "lt-00000001"):
        helen(action, LaunchTemplateId="lt-00000001", **more)
    with refused(NotFound, Noun.LAUNCH_TEMPLATE_NAME, "web"):
        helen(action, LaunchTemplateName="web", **more)
    with refused(Malformed, Noun.LAUNCH_TEMPLATE, "web"):
        helen(action, LaunchTemplateId="web", **more)
    with refused(Conflict, Noun.PARAMETER, "Either provide launch template ID or"):
        helen(action, LaunchTemplateId="template_n", LaunchTemplateName="web", **more)
    assert names(paris) == ["web"]


@pytest.mark.parametrize("action", sorted(ON_ONE.keys() - {"DescribeLaunchTemplateVersions"}))
def test_one_template_has_to_be_named(helen, action):
    with refused(Missing, Noun.PARAMETER, "launch template ID or launch template name"):
        helen(action, **ON_ONE[action])
