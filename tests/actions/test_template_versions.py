import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.desk import refused

from econe.domain.faults import (
    Conflict,
    Invalid,
    LimitExceeded,
    Missing,
    NotFound,
    Noun,
    Unsupported,
)
from econe.domain.template_book import TemplateBook, find_template


def create(desk, name="web", **data):
    made = desk(
        "CreateLaunchTemplate",
        LaunchTemplateName=name,
        LaunchTemplateData=data or {"InstanceType": "m1.small"},
    )
    return made["LaunchTemplate"]["LaunchTemplateId"]


def add(desk, source=None, name="web", **data):
    asked = {"SourceVersion": source} if source else {}
    made = desk(
        "CreateLaunchTemplateVersion",
        LaunchTemplateName=name,
        LaunchTemplateData=data or {"InstanceType": "m1.small"},
        **asked,
    )
    return made["LaunchTemplateVersion"]


def delete(desk, *versions, name="web"):
    return desk("DeleteLaunchTemplateVersions", LaunchTemplateName=name, Versions=[*versions])


def shown(desk, name="web", **asked):
    asked = {"LaunchTemplateName": name, **asked} if name else asked
    return desk("DescribeLaunchTemplateVersions", **asked)["LaunchTemplateVersions"]


def numbers(desk, name="web", **asked):
    return [each["VersionNumber"] for each in shown(desk, name, **asked)]


def template(desk, name="web"):
    (row,) = desk("DescribeLaunchTemplates", LaunchTemplateNames=[name])["LaunchTemplates"]
    return row


# --- making ------------------------------------------------------------------------------


def test_a_version_has_only_what_it_was_given(helen):
    create(helen, InstanceType="m1.small", EbsOptimized=False)
    helen.passes(60)
    made = helen(
        "CreateLaunchTemplateVersion",
        LaunchTemplateId="lt-00000001",
        VersionDescription="larger",
        LaunchTemplateData={"InstanceType": "m1.large"},
    )
    assert made == {
        "LaunchTemplateVersion": {
            "LaunchTemplateId": "lt-00000001",
            "LaunchTemplateName": "web",
            "VersionNumber": 2,
            "VersionDescription": "larger",
            "CreateTime": helen.now,
            "CreatedBy": "arn:aws:iam::111122223333:root",
            "DefaultVersion": False,
            "LaunchTemplateData": {"InstanceType": "m1.large"},
            "Operator": {"Managed": False},
        }
    }
    assert shown(helen)[0] == made["LaunchTemplateVersion"]
    assert template(helen)["LatestVersionNumber"] == 2
    assert template(helen)["DefaultVersionNumber"] == 1


@pytest.mark.parametrize("source", ["1", "$Default"])
def test_a_version_of_a_source_has_the_given_over_it(helen, source):
    disks = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 9, "VolumeType": "gp2"}}]
    create(helen, InstanceType="m1.small", KeyName="k", BlockDeviceMappings=disks)
    add(helen, InstanceType="m1.large")
    made = add(
        helen,
        source,
        InstanceType="t2.nano",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 10}}],
    )
    assert made["LaunchTemplateData"] == {
        "InstanceType": "t2.nano",
        "KeyName": "k",
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 10}}],
    }
    assert add(helen, "$Latest", KeyName="l")["LaunchTemplateData"]["InstanceType"] == "t2.nano"


def test_a_source_must_be_there(helen):
    create(helen)
    with refused(NotFound, Noun.LAUNCH_TEMPLATE_VERSION, "version 2 "):
        add(helen, "2")
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION):
        add(helen, "first")
    assert numbers(helen) == [1]


def test_a_version_is_checked_as_a_whole(helen):
    create(helen, NetworkInterfaces=[{"DeviceIndex": 0}])
    made = helen(
        "CreateLaunchTemplateVersion",
        LaunchTemplateName="web",
        SourceVersion="1",
        LaunchTemplateData={"SecurityGroups": ["default"]},
    )
    assert made["Warning"]["Errors"] == [
        {
            "Code": "InvalidParameterCombination",
            "Message": "Network interfaces and an instance-level security groups may not be "
            "specified on the same request",
        }
    ]
    with refused(Unsupported, Noun.PARAMETER, "EbsOptimized"):
        add(helen, EbsOptimized=True)
    with refused(Invalid, Noun.PARAMETER, "255"):
        helen(
            "CreateLaunchTemplateVersion",
            LaunchTemplateName="web",
            VersionDescription="x" * 256,
            LaunchTemplateData={"InstanceType": "m1.small"},
        )


def test_a_template_has_as_many_versions_as_ec2_lets_it_have(helen):
    create(helen)
    with refused(LimitExceeded, Noun.LAUNCH_TEMPLATE_VERSION), helen.store.writing() as tx:
        row = find_template(tx, helen.account.number, None, "web")
        TemplateBook(most_versions=1).add_version(
            tx, row, description="", parameters={}, now=helen.now
        )


# --- deleting ----------------------------------------------------------------------------


def test_each_version_is_deleted_or_told_why_not(helen):
    create(helen)
    for _ in range(3):
        add(helen)
    done = delete(helen, "3", "9", "03", "2", "0")
    named = {"LaunchTemplateId": "lt-00000001", "LaunchTemplateName": "web"}
    assert done["SuccessfullyDeletedLaunchTemplateVersions"] == [
        {**named, "VersionNumber": 3},
        {**named, "VersionNumber": 2},
    ]
    failed = done["UnsuccessfullyDeletedLaunchTemplateVersions"]
    assert [each["VersionNumber"] for each in failed] == [9, 0]
    assert failed[0]["ResponseError"] == {
        "Code": "launchTemplateVersionDoesNotExist",
        "Message": "The launch template version does not exist.",
    }
    assert numbers(helen) == [4, 1]


def test_the_default_version_cannot_be_deleted_nor_what_is_asked_with_it(helen):
    create(helen)
    add(helen)
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION, "The default version cannot be deleted."):
        delete(helen, "2", "1")
    assert numbers(helen) == [2, 1]
    helen("ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="2")
    delete(helen, "1")
    assert numbers(helen) == [2]


def test_the_latest_version_is_the_newest_that_is_left_and_no_number_comes_again(helen):
    create(helen)
    add(helen, InstanceType="m1.medium")
    add(helen)
    delete(helen, "3")
    assert template(helen)["LatestVersionNumber"] == 2
    assert numbers(helen, Versions=["$Latest"]) == [2]
    assert add(helen, "$Latest", KeyName="k")["LaunchTemplateData"]["InstanceType"] == "m1.medium"
    assert numbers(helen) == [4, 2, 1]
    assert template(helen)["LatestVersionNumber"] == 4


def test_versions_to_delete_are_numbers_and_200_at_most(helen):
    create(helen)
    for text in ("$Latest", "$Default", "one", ""):
        with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION):
            delete(helen, text)
    with refused(Invalid, Noun.PARAMETER, "200"):
        delete(helen, *map(str, range(2, 203)))
    assert len(
        delete(helen, *map(str, range(2, 202)))["UnsuccessfullyDeletedLaunchTemplateVersions"]
    )


# --- listing -----------------------------------------------------------------------------


@pytest.fixture
def many(helen):
    """`web` with versions 1 to 6 without 4, of which 2 is the default; `data` with 1 and 2."""
    create(helen)
    for size in ("m1.medium", "m1.large", "m1.xlarge", "t2.nano", "t2.micro"):
        add(helen, InstanceType=size)
    helen("ModifyLaunchTemplate", LaunchTemplateName="web", DefaultVersion="2")
    delete(helen, "4")
    create(helen, "data")
    add(helen, name="data")
    return helen


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [6, 5, 3, 2, 1]),
        ({"Versions": ["1", "3", "1"]}, [3, 1]),
        ({"Versions": ["$Latest"]}, [6]),
        ({"Versions": ["$Default"]}, [2]),
        ({"Versions": ["$Default", "$Latest", "5"]}, [6, 5, 2]),
        ({"MinVersion": "2"}, [6, 5, 3, 2]),
        ({"MaxVersion": "3"}, [3, 2, 1]),
        ({"MinVersion": "2", "MaxVersion": "5"}, [5, 3, 2]),
        ({"MinVersion": "4", "MaxVersion": "4"}, []),
        ({"MinVersion": "5", "MaxVersion": "2"}, []),
        ({"MinVersion": "7"}, []),
    ],
)
def test_versions_of_one_template_newest_first(many, asked, found):
    assert numbers(many, **asked) == found
    assert numbers(many, None, LaunchTemplateId="lt-1", **asked) == found


def test_the_default_version_is_told(many):
    assert [each["VersionNumber"] for each in shown(many) if each["DefaultVersion"]] == [2]


@pytest.mark.parametrize("missing", [["4"], ["7"], ["1", "9"], ["0"]])
def test_versions_that_are_not_there_are_not_found(many, missing):
    text = f"Could not find the specified version {missing[-1]} for the launch template with ID lt-"
    with refused(NotFound, Noun.LAUNCH_TEMPLATE_VERSION, text):
        numbers(many, Versions=missing)


def test_versions_are_named_or_a_range_and_ranges_are_of_numbers(many):
    with refused(Conflict, Noun.PARAMETER):
        numbers(many, Versions=["1"], MinVersion="1")
    for asked in ({"MinVersion": "$Default"}, {"MaxVersion": "$Latest"}, {"MaxVersion": "-1"}):
        with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION):
            numbers(many, **asked)


def test_of_all_templates_the_latest_and_default_versions(many, paris):
    create(paris)

    def found(*versions, **asked):
        rows = shown(many, None, Versions=[*versions], **asked)
        return [(each["LaunchTemplateName"], each["VersionNumber"]) for each in rows]

    assert found("$Latest") == [("web", 6), ("data", 2)]
    assert found("$Default") == [("web", 2), ("data", 1)]
    assert found("$Default", "$Latest") == [("web", 6), ("web", 2), ("data", 2), ("data", 1)]
    by_type = [{"Name": "instance-type", "Values": ["t2.*"]}]
    assert found("$Default", "$Latest", Filters=by_type) == [("web", 6)]
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION, "$Latest"):
        found("$Latest", "1")
    with refused(Invalid, Noun.LAUNCH_TEMPLATE_VERSION):
        found("$Latest", MinVersion="1")
    with refused(Missing, Noun.PARAMETER, "launch template ID or launch template name"):
        found()


def test_every_filter_of_versions(helen):
    image = helen.image()
    create(helen)
    helen.passes(1)
    add(
        helen,
        ImageId=image.replace("0000000", ""),
        InstanceType="t2.nano",
        EbsOptimized=False,
        MetadataOptions={"HttpTokens": "required", "HttpEndpoint": "enabled"},
        NetworkInterfaces=[{"DeviceIndex": 0, "NetworkCardIndex": 0}],
    )
    for name, values, found in (
        ("create-time", ["2026-11-23T16:00:01.000Z"], [2]),
        ("ebs-optimized", ["false"], [2]),
        ("ebs-optimized", ["true"], []),
        ("http-endpoint", ["enabled"], [2]),
        ("http-protocol-ipv4", ["enabled"], [2]),
        ("http-tokens", ["required"], [2]),
        ("http-tokens", ["optional"], []),
        ("image-id", [image], [2]),
        ("image-id", ["ami-1"], [2]),
        ("instance-type", ["m1.*", "t2.nano"], [2, 1]),
        ("is-default-version", ["true"], [1]),
        ("is-default-version", ["false"], [2]),
        ("network-card-index", ["0"], [2]),
        ("kernel-id", ["*"], []),
        ("ram-disk-id", ["*"], []),
        ("iam-instance-profile", ["*"], []),
        ("license-configuration-arn", ["*"], []),
        ("host-resource-group-arn", ["*"], []),
    ):
        assert numbers(helen, Filters=[{"Name": name, "Values": values}]) == found, name
    for unknown in ("tag:Name", "elephant"):
        with refused(Invalid, Noun.PARAMETER, unknown):
            numbers(helen, Filters=[{"Name": unknown, "Values": ["x"]}])


def pages(desk, size, **asked):
    """The pages of a listing; a token that leads nowhere new would never end."""
    token, made = None, []
    for _ in range(50):
        more = {"NextToken": token} if token else {}
        answer = desk("DescribeLaunchTemplateVersions", MaxResults=size, **asked, **more)
        made.append(
            [
                (each["LaunchTemplateName"], each["VersionNumber"])
                for each in answer["LaunchTemplateVersions"]
            ]
        )
        token = answer.get("NextToken")
        if token is None:
            return made
    raise AssertionError("no end")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 200])
@pytest.mark.parametrize(
    "asked",
    [
        {"LaunchTemplateName": "web"},
        {"LaunchTemplateName": "web", "Versions": ["$Latest", "1", "3"]},
        {"LaunchTemplateName": "web", "Filters": [{"Name": "instance-type", "Values": ["m1.*"]}]},
        {"Versions": ["$Latest", "$Default"]},
        {"Versions": ["$Latest"]},
    ],
)
def test_pages_of_versions_together_are_the_whole(many, asked, size):
    made = pages(many, size, **asked)
    assert all(len(page) == size for page in made[:-1])
    assert 0 < len(made[-1]) <= size
    rows = many("DescribeLaunchTemplateVersions", **asked)["LaunchTemplateVersions"]
    whole = [(each["LaunchTemplateName"], each["VersionNumber"]) for each in rows]
    assert [row for page in made for row in page] == whole


def test_a_page_goes_on_where_its_place_was_deleted(many):
    asked = {"Versions": ["$Latest", "$Default"], "MaxResults": 1}
    first = many("DescribeLaunchTemplateVersions", **asked)
    many("DeleteLaunchTemplate", LaunchTemplateName="web")
    rest = many("DescribeLaunchTemplateVersions", **asked, NextToken=first["NextToken"])
    assert rest["LaunchTemplateVersions"][0]["LaunchTemplateName"] == "data"


def test_a_token_belongs_to_its_template(many):
    first = many("DescribeLaunchTemplateVersions", LaunchTemplateName="web", MaxResults=1)
    with refused(Invalid, Noun.PARAMETER, "token"):
        shown(many, "data", NextToken=first["NextToken"])


def test_without_max_results_200_versions_are_told(helen):
    create(helen)
    with helen.store.writing() as tx:
        row = find_template(tx, helen.account.number, None, "web")
        for _ in range(200):
            row, _ = TemplateBook().add_version(
                tx, row, description="", parameters={}, now=helen.now
            )
    answer = helen("DescribeLaunchTemplateVersions", LaunchTemplateName="web")
    assert len(answer["LaunchTemplateVersions"]) == 200
    rest = shown(helen, NextToken=answer["NextToken"])
    assert [each["VersionNumber"] for each in rest] == [1]
    for wrong in (0, 201):
        with refused(Invalid, Noun.PARAMETER, "maxResults"):
            numbers(helen, MaxResults=wrong)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    least=st.none() | st.integers(0, 8),
    most=st.none() | st.integers(0, 8),
    size=st.integers(1, 4),
)
def test_a_range_has_its_ends_and_what_lies_between(many, least, most, size):
    asked = {
        name: str(number)
        for name, number in (("MinVersion", least), ("MaxVersion", most))
        if number is not None
    }
    expected = [
        number
        for number in (6, 5, 3, 2, 1)
        if (least is None or number >= least) and (most is None or number <= most)
    ]
    made = pages(many, size, LaunchTemplateName="web", **asked)
    assert [number for page in made for _, number in page] == expected
