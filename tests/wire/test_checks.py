import pytest

from econe.wire import checks, model
from econe.wire.refusal import Refusal

SERVICE = model.load()
RUN = SERVICE.operation("RunInstances")
ENOUGH = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1}


def refused(asked, operation=RUN) -> Refusal:
    with pytest.raises(Refusal) as caught:
        checks.check(asked, operation)
    return caught.value


def test_what_the_model_requires_is_enough():
    checks.check(ENOUGH, RUN)


def test_a_missing_member_is_named_as_the_caller_would_write_it():
    refusal = refused({"ImageId": "ami-1", "MinCount": 1})
    assert refusal.code == "MissingParameter"
    assert refusal.message == "The request must contain the parameter MaxCount"
    nested = {"Resources": ["i-1"], "Tags": [{"Value": "x"}]}
    checks.check(nested, SERVICE.operation("CreateTags"))  # the model requires no Key


def test_an_empty_list_is_as_good_as_none():
    refusal = refused({"InstanceIds": []}, SERVICE.operation("StopInstances"))
    assert refusal.code == "MissingParameter"
    assert refusal.message == "The request must contain the parameter InstanceId"


def test_values_outside_an_enumeration_are_refused_and_the_choices_named():
    refusal = refused({**ENOUGH, "Placement": {"Tenancy": "x" * 500}})
    assert refusal.code == "InvalidParameterValue"
    assert "Placement.Tenancy" in refusal.message
    assert "default, dedicated, host" in refusal.message
    assert len(refusal.message) < 300


def test_the_clouds_own_instance_types_are_not_amazons_to_say():
    checks.check({**ENOUGH, "InstanceType": "huge.metal"}, RUN)


def test_names_with_an_error_code_of_their_own_are_their_nouns_to_refuse():
    """InvalidLaunchTemplateName.MalformedException, not InvalidParameterValue."""
    for name in ("DeleteLaunchTemplate", "DescribeLaunchTemplateVersions"):
        checks.check({"LaunchTemplateName": "a b"}, SERVICE.operation(name))
    asked = {"LaunchTemplateNames": ["x"]}
    checks.check(asked, SERVICE.operation("DescribeLaunchTemplates"))


def test_account_attributes_that_the_model_forgets_are_let_through():
    """libcloud's ex_get_limits asks for max-instances, which the API reference lists."""
    operation = SERVICE.operation("DescribeAccountAttributes")
    checks.check({"AttributeNames": ["max-instances", "default-vpc"]}, operation)


def test_numbers_outside_the_models_range_are_refused():
    operation = SERVICE.operation("DescribeInstanceTypes")
    assert "at least 5" in refused({"MaxResults": 4}, operation).message
    assert "at most 100" in refused({"MaxResults": 101}, operation).message
    checks.check({"MaxResults": 5}, operation)


def test_texts_and_lists_outside_the_models_length_are_refused():
    operation = SERVICE.operation("CreateImage")
    asked = {"InstanceId": "i-00000001", "Name": "ab"}
    assert "at least 3 characters" in refused(asked, operation).message
    assert "at most 128 characters" in refused({**asked, "Name": "a" * 129}, operation).message
    checks.check({**asked, "Name": "abc"}, operation)
    types = SERVICE.operation("DescribeInstanceTypes")
    assert "at most 100 items" in refused({"InstanceTypes": ["m1.small"] * 101}, types).message


def test_a_pattern_is_of_the_whole_value():
    operation = SERVICE.operation("AssociateCapacityReservationBillingOwner")
    asked = {"CapacityReservationId": "cr-1", "UnusedReservationBillingOwnerId": "1" * 12}
    checks.check(asked, operation)
    for wrong in ("1" * 11 + "\n", "x" + "1" * 11, "١" * 12):
        asked["UnusedReservationBillingOwnerId"] = wrong
        assert "Must match" in refused(asked, operation).message


def test_what_a_handler_does_not_take_is_refused_by_the_name_the_caller_wrote():
    asked = {
        **ENOUGH,
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}},
            {"Ebs": {"Iops": 3000}},
        ],
    }
    takes = {
        "ImageId",
        "MinCount",
        "MaxCount",
        "BlockDeviceMappings.DeviceName",
        "BlockDeviceMappings.Ebs.VolumeSize",
    }
    with pytest.raises(Refusal) as caught:
        checks.refuse_unsupported(asked, RUN, takes)
    assert caught.value.code == "UnsupportedOperation"
    assert "BlockDeviceMapping.2.Ebs.Iops" in caught.value.message


def test_a_path_covers_all_below_it_and_not_its_siblings():
    asked = {"Placement": {"Tenancy": "host"}}
    checks.refuse_unsupported(asked, RUN, {"Placement"})
    with pytest.raises(Refusal):
        checks.refuse_unsupported(asked, RUN, {"Placement.AvailabilityZone"})
    with pytest.raises(Refusal):
        checks.refuse_unsupported(asked, RUN, {"Place", "Placement.Ten"})


def test_dry_run_is_always_taken():
    checks.refuse_unsupported({"DryRun": True}, RUN, ())
