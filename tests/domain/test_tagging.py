import pytest
from tests.support.desk import refused

from econe.domain.faults import (
    Duplicate,
    Invalid,
    LimitExceeded,
    Malformed,
    Missing,
    NotFound,
    Noun,
    Unavailable,
)

SMALL = {"InstanceType": "m1.small"}


def pairs(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def numbered(count, word="k"):
    return pairs(**{f"{word}{number}": "v" for number in range(count)})


def tags_of(desk, row_id):
    with desk.store.reading() as tx:
        return tx.tags.of(row_id)


def bearers(desk):
    (id_,) = desk.running()
    row = desk.row(id_)
    desk("CreateKeyPair", KeyName="mykey", KeyType="ed25519")
    made = desk("CreateLaunchTemplate", LaunchTemplateName="web", LaunchTemplateData=SMALL)
    return {
        "instance": id_,
        "image": row.image_id,
        "volume": row.volumes[0].id,
        "network-interface": row.interfaces[0].id,
        "vpc": row.vpc_id,
        "subnet": row.subnet_id,
        "security-group": row.interfaces[0].groups[0][0],
        "key-pair": "key-00000001",
        "launch-template": made["LaunchTemplate"]["LaunchTemplateId"],
    }


def test_everything_that_has_a_row_can_be_tagged(helen):
    ids = bearers(helen)
    helen("CreateTags", Resources=list(ids.values()), Tags=pairs(Owner="TeamA"))
    shown = helen("DescribeTags")["Tags"]
    assert {tag["ResourceType"]: tag["ResourceId"] for tag in shown} == ids


@pytest.mark.parametrize("kind", ["instance", "volume", "network-interface"])
def test_tags_of_an_instance_and_of_its_parts_raise_its_version(helen, kind):
    ids = bearers(helen)
    before = helen.row(ids["instance"]).version
    helen("CreateTags", Resources=[ids[kind]], Tags=pairs(a="b"))
    assert helen.row(ids["instance"]).version > before


def test_a_key_has_one_value_the_last(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=pairs(a="1", b="2"))
    helen("CreateTags", Resources=["i-1"], Tags=pairs(a="3"))
    assert tags_of(helen, id_) == {"a": "3", "b": "2"}


@pytest.mark.parametrize("key", ["a b", "ключ", "<&\"'>", "a+b=c/d@e:_", " "])
def test_any_unicode_may_be_a_tag(helen, key):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=[{"Key": key, "Value": key}])
    assert tags_of(helen, id_) == {key: key}


def test_a_value_may_be_empty_and_must_be_said(helen):
    """API reference, CreateTags; EC2 says so of a Value that is not there."""
    (id_,) = helen.launch()
    with refused(Invalid, Noun.PARAMETER, "Tag value cannot be null. Use empty string instead."):
        helen("CreateTags", Resources=[id_], Tags=[{"Key": "a", "Value": "b"}, {"Key": "marked"}])
    assert tags_of(helen, id_) == {}
    helen("CreateTags", Resources=[id_], Tags=[{"Key": "marked", "Value": ""}])
    assert tags_of(helen, id_) == {"marked": ""}


def test_one_request_names_1000_resources_and_tags_at_most(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_] * 1000, Tags=pairs(a="b"))
    for action, asked in (
        ("CreateTags", {"Resources": [id_] * 1001, "Tags": pairs(a="c")}),
        ("DeleteTags", {"Resources": [id_] * 1001}),
        ("DeleteTags", {"Resources": [id_], "Tags": numbered(1001)}),
    ):
        with refused(LimitExceeded, Noun.PARAMETER, "At most 1000"):
            helen(action, **asked)
    assert tags_of(helen, id_) == {"a": "b"}


@pytest.mark.parametrize(
    ("tag", "kind", "noun"),
    [
        ({"Key": "aws:x", "Value": ""}, Invalid, Noun.TAG),
        ({"Key": "AWS:x", "Value": ""}, Invalid, Noun.TAG),
        ({"Key": "", "Value": ""}, Invalid, Noun.TAG),
        ({"Key": "k" * 129, "Value": ""}, Invalid, Noun.TAG),
        ({"Key": "k", "Value": "v" * 257}, Invalid, Noun.TAG),
        ({"Value": "v"}, Missing, Noun.PARAMETER),
        ({"Key": "aWs:x", "Value": "v"}, Invalid, Noun.TAG),
    ],
)
def test_tags_that_ec2_refuses_are_refused(helen, tag, kind, noun):
    (id_,) = helen.launch()
    with refused(kind, noun):
        helen("CreateTags", Resources=[id_], Tags=[tag])
    assert tags_of(helen, id_) == {}


def test_the_longest_tag_fits(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=[{"Key": "k" * 128, "Value": "v" * 256}])
    assert len(tags_of(helen, id_)) == 1


def test_one_key_twice_is_a_mistake(helen):
    with refused(Duplicate, Noun.TAG):
        helen("CreateTags", Resources=helen.launch(), Tags=[*pairs(a="1"), *pairs(a="1")])


def test_keys_that_differ_in_case_are_two(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=pairs(a="1", A="2"))
    assert tags_of(helen, id_) == {"a": "1", "A": "2"}


def test_a_resource_has_50_tags_at_most(helen):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=numbered(50))
    helen("CreateTags", Resources=[id_], Tags=numbered(50))  # the same keys
    with refused(LimitExceeded, Noun.TAG):
        helen("CreateTags", Resources=[id_], Tags=numbered(1, "more"))
    with refused(LimitExceeded, Noun.TAG):
        helen("CreateTags", Resources=helen.launch(), Tags=numbered(51))


def test_several_resources_are_tagged_together_or_not_at_all(helen, paris):
    (id_,) = helen.launch()
    for other, kind, noun in (
        ("i-00000099", NotFound, Noun.INSTANCE),
        (paris.launch()[0], NotFound, Noun.INSTANCE),
        ("vol-00000099", NotFound, Noun.VOLUME),
        ("vol-xyz", Malformed, Noun.VOLUME),
        ("elephant", Malformed, Noun.RESOURCE),
        ("r-00000001", Malformed, Noun.RESOURCE),
        ("rtb-00000001", Malformed, Noun.RESOURCE),
        ("snap-00000001", NotFound, Noun.SNAPSHOT),
        ("snap-x", Malformed, Noun.SNAPSHOT),
        ("eipalloc-00000001", NotFound, Noun.ALLOCATION),
    ):
        with refused(kind, noun):
            helen("CreateTags", Resources=[id_, other], Tags=pairs(a="b"))
        with refused(kind, noun):
            helen("DeleteTags", Resources=[id_, other])
    assert tags_of(helen, id_) == {}


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"Tags": [{"Key": "a"}]}, {"b": "2", "c": ""}),
        ({"Tags": [{"Key": "a", "Value": "1"}]}, {"b": "2", "c": ""}),
        ({"Tags": [{"Key": "a", "Value": "2"}]}, {"a": "1", "b": "2", "c": ""}),
        ({"Tags": [{"Key": "a", "Value": ""}]}, {"a": "1", "b": "2", "c": ""}),
        ({"Tags": [{"Key": "c", "Value": ""}]}, {"a": "1", "b": "2"}),
        ({"Tags": [{"Key": "z"}]}, {"a": "1", "b": "2", "c": ""}),
        ({}, {}),
    ],
)
def test_tags_go_by_key_by_key_and_value_or_all(helen, asked, left):
    (id_,) = helen.launch()
    helen("CreateTags", Resources=[id_], Tags=pairs(a="1", b="2", c=""))
    helen("DeleteTags", Resources=[id_], **asked)
    assert tags_of(helen, id_) == left


def test_reserved_tags_cannot_be_deleted_either(helen):
    with refused(Invalid, Noun.TAG):
        helen("DeleteTags", Resources=helen.launch(), Tags=[{"Key": "aws:x"}])


def test_a_removed_resource_leaves_no_tags(helen):
    ids = bearers(helen)
    helen("CreateTags", Resources=[ids["volume"], ids["key-pair"]], Tags=pairs(a="b"))
    helen("TerminateInstances", InstanceIds=[ids["instance"]])
    helen.gone([ids["instance"]])
    helen("DeleteKeyPair", KeyName="mykey")
    assert helen("DescribeTags")["Tags"] == []


def test_a_deregistered_image_has_no_tags_and_takes_none(helen):
    image_id = helen.image()
    helen("CreateTags", Resources=[image_id], Tags=pairs(a="b"))
    helen("DeregisterImage", ImageId=image_id)
    assert helen("DescribeTags")["Tags"] == []
    with refused(Unavailable, Noun.IMAGE, "no longer available"):
        helen("CreateTags", Resources=[image_id], Tags=pairs(a="b"))


def test_tags_of_the_cloud_itself_stay_when_all_are_deleted(helen):
    (id_,) = helen.launch()
    with helen.store.writing() as tx:
        tx.tags.put(helen.account.number, id_, "instance", {"aws:cloud": "ours", "mine": "x"})
    helen("DeleteTags", Resources=[id_])
    assert tags_of(helen, id_) == {"aws:cloud": "ours"}


def test_all_that_are_missing_are_named_and_none_is_tagged(helen):
    (id_,) = helen.launch()
    asked = [id_, "i-00000098", "i-00000099", "vol-00000099"]
    with refused(NotFound, Noun.INSTANCE, "i-00000098, i-00000099"):
        helen("CreateTags", Resources=asked, Tags=pairs(a="b"))
    assert tags_of(helen, id_) == {}
