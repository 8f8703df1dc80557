import pytest

from econe.domain.places import hostname, private_dns_name, zone_id


def test_a_host_is_called_by_its_address():
    assert hostname("172.31.0.5") == "ip-172-31-0-5"


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("us-east-1", "ip-172-31-0-5.ec2.internal"),
        ("eu-west-3", "ip-172-31-0-5.eu-west-3.compute.internal"),
    ],
)
def test_its_domain_follows_from_the_region(region, name):
    assert private_dns_name("172.31.0.5", region) == name


@pytest.mark.parametrize(
    ("region", "zone", "wanted"),
    [
        ("us-east-1", "us-east-1a", "use1-az1"),
        ("us-east-1", "us-east-1f", "use1-az6"),
        ("eu-central-1", "eu-central-1b", "euc1-az2"),
        ("ap-southeast-2", "ap-southeast-2c", "apse2-az3"),
        ("us-gov-west-1", "us-gov-west-1a", "usgw1-az1"),
        ("home", "home", "home"),
        ("home", "cellar", "cellar"),
        ("us-east-1", "somewhere", "somewhere"),
        ("a-b", "a-ba", "a-ba"),
    ],
)
def test_a_zone_has_amazons_id_where_its_names_follow_amazons_scheme(region, zone, wanted):
    assert zone_id(region, zone) == wanted
