"""Credit specifications; the rules are in domain/cpu_credits.py and decision 43."""

import pytest
from tests.support.desk import Desk, refused

from econe.domain.faults import Conflict, Invalid, Missing, NotFound, Noun, Unsupported

UNLIMITED = {"CpuCredits": "unlimited"}


def told(desk: Desk, **asked: object) -> dict[str, str]:
    made = desk("DescribeInstanceCreditSpecifications", **asked)["InstanceCreditSpecifications"]
    return {each["InstanceId"]: each["CpuCredits"] for each in made}


@pytest.mark.parametrize("name", ["t2.micro", "t3.micro", "t3a.large"])
def test_burstable_types_are_known_and_found(helen: Desk, name: str):
    only = [{"Name": "burstable-performance-supported", "Values": ["true"]}]
    found = helen("DescribeInstanceTypes", Filters=only)["InstanceTypes"]
    assert name in {each["InstanceType"] for each in found}
    assert {each["InstanceType"].partition(".")[0] for each in found} == {"t2", "t3", "t3a"}


def test_all_burstable_instances_are_told_of_and_no_others(helen: Desk):
    (plain,) = helen.launch(InstanceType="m5.large")
    (old,) = helen.launch(InstanceType="t2.micro")
    (new,) = helen.launch(InstanceType="t3.micro", CreditSpecification=UNLIMITED)
    assert told(helen) == {old: "unlimited", new: "unlimited"}
    only = [{"Name": "instance-id", "Values": [new, plain]}]
    assert told(helen, Filters=only) == {new: "unlimited"}


def test_whoever_is_named_is_told_of(helen: Desk):
    """Of types without credits EC2 says `standard` (API reference)."""
    (plain,) = helen.launch(InstanceType="m5.large")
    (new,) = helen.launch(InstanceType="t3.micro")
    assert told(helen, InstanceIds=[plain, new]) == {plain: "standard", new: "unlimited"}
    with refused(NotFound, Noun.INSTANCE, "i-00000099"):
        told(helen, InstanceIds=[plain, "i-00000099"])


def test_another_account_is_told_nothing(helen: Desk, paris: Desk):
    (theirs,) = helen.launch(InstanceType="t3.micro")
    assert told(paris) == {}
    with refused(NotFound, Noun.INSTANCE, theirs):
        told(paris, InstanceIds=[theirs])


def test_they_come_in_pages(helen: Desk):
    ids = helen.launch(7, InstanceType="t3.micro")
    helen.launch(3, InstanceType="m5.large")
    first = helen("DescribeInstanceCreditSpecifications", MaxResults=5)
    second = told(helen, MaxResults=5, NextToken=first["NextToken"])
    pages = [each["InstanceId"] for each in first["InstanceCreditSpecifications"]]
    assert pages + list(second) == ids
    with refused(Conflict, Noun.PARAMETER, "InstanceIds"):
        told(helen, MaxResults=5, InstanceIds=ids)


def test_standard_would_need_guests_that_are_held_back(helen: Desk):
    with refused(Unsupported, Noun.PARAMETER, "'standard' of CreditSpecification.CpuCredits"):
        helen.launch(InstanceType="t3.micro", CreditSpecification={"CpuCredits": "standard"})


def test_types_without_credits_cannot_be_launched_with_any(helen: Desk):
    with refused(Unsupported, Noun.CREDITS, "m5.large"):
        helen.launch(InstanceType="m5.large", CreditSpecification=UNLIMITED)


def test_a_template_may_say_it_and_is_warned_of_its_type(helen: Desk):
    def made(name: str, type_name: str) -> dict[str, object]:
        data = {"InstanceType": type_name, "CreditSpecification": UNLIMITED}
        return dict(helen("CreateLaunchTemplate", LaunchTemplateName=name, LaunchTemplateData=data))

    assert "Warning" not in made("burst", "t3.micro")
    (error,) = made("plain", "m5.large")["Warning"]["Errors"]  # type: ignore[index]
    assert error["Code"] == "InstanceCreditSpecification.NotSupported"
    (id_,) = helen.launch(LaunchTemplate={"LaunchTemplateName": "burst"})
    data = helen("GetLaunchTemplateData", InstanceId=id_)["LaunchTemplateData"]
    assert data["CreditSpecification"] == UNLIMITED


# --- changes -----------------------------------------------------------------------------


def modified(desk: Desk, *ids: str) -> tuple[list[str], dict[str, str]]:
    asked = [{"InstanceId": id_, **UNLIMITED} for id_ in ids]
    made = desk("ModifyInstanceCreditSpecification", InstanceCreditSpecifications=asked)
    return (
        [each["InstanceId"] for each in made["SuccessfulInstanceCreditSpecifications"]],
        {
            each["InstanceId"]: each["Error"]["Code"]
            for each in made["UnsuccessfulInstanceCreditSpecifications"]
        },
    )


def test_each_is_changed_or_not_for_itself(helen: Desk):
    (burstable,) = helen.running(InstanceType="t2.micro")
    (plain,) = helen.running(InstanceType="m5.large")
    (pending,) = helen.launch(InstanceType="t3.micro")
    assert modified(helen, burstable, plain, pending, "i-00000099", "i-nonsense") == (
        [burstable],
        {
            plain: "InstanceCreditSpecification.NotSupported",
            pending: "IncorrectInstanceState",
            "i-00000099": "InvalidInstanceID.NotFound",
            "i-nonsense": "InvalidInstanceID.Malformed",
        },
    )
    with refused(Missing, Noun.PARAMETER, "CpuCredits"):
        helen(
            "ModifyInstanceCreditSpecification",
            InstanceCreditSpecifications=[{"InstanceId": burstable}],
        )
    with refused(Unsupported, Noun.PARAMETER, "standard"):
        helen(
            "ModifyInstanceCreditSpecification",
            InstanceCreditSpecifications=[{"InstanceId": burstable, "CpuCredits": "standard"}],
        )


def test_families_are_unlimited_by_default_and_stay_so(helen: Desk):
    wanted = {"InstanceFamily": "t2", "CpuCredits": "unlimited"}
    asked = {"InstanceFamily": "t2"}
    got = helen("GetDefaultCreditSpecification", **asked)
    assert got["InstanceFamilyCreditSpecification"] == wanted
    put = helen("ModifyDefaultCreditSpecification", **asked, CpuCredits="unlimited")
    assert put["InstanceFamilyCreditSpecification"] == wanted
    with refused(Unsupported, Noun.PARAMETER, "standard"):
        helen("ModifyDefaultCreditSpecification", **asked, CpuCredits="standard")
    with refused(Invalid, Noun.PARAMETER, "t4g"):
        helen("GetDefaultCreditSpecification", InstanceFamily="t4g")
