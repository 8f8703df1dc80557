"""Who is asking: the order of the four sources, and the file of OpenNebula."""

import hashlib

import pytest

from econe.client.credentials import DEFAULT_URL, Credentials, find_credentials, find_url
from econe.client.errors import Misconfigured

EC2 = {"EC2_ACCESS_KEY": "of-ec2", "EC2_SECRET_KEY": "s-ec2"}
AWS = {"AWS_ACCESS_KEY_ID": "of-aws", "AWS_SECRET_ACCESS_KEY": "s-aws"}


@pytest.fixture
def home(tmp_path):
    (tmp_path / ".one").mkdir()
    (tmp_path / ".one" / "one_auth").write_text("of-home:p\n")
    return tmp_path


def found(access=None, secret=None, **environ):
    return find_credentials(access, secret, environ)


def test_the_order_is_options_then_ec2_then_one_auth_then_aws(home, tmp_path):
    named = tmp_path / "named"
    named.write_text("of-named:p")
    everything = {**AWS, "HOME": str(home), "ONE_AUTH": str(named), **EC2}
    assert found("of-options", "s", **everything).access_key == "of-options"
    assert found(**everything).access_key == "of-ec2"
    without_ec2 = {**everything, "EC2_ACCESS_KEY": ""}
    assert found(**without_ec2).access_key == "of-named"
    del without_ec2["ONE_AUTH"]
    assert found(**without_ec2).access_key == "of-home"
    (home / ".one" / "one_auth").unlink()
    assert found(**without_ec2).access_key == "of-aws"


@pytest.mark.parametrize("half", [*EC2, *AWS])
def test_half_a_pair_in_the_environment_is_none(half):
    with pytest.raises(Misconfigured, match="No authorization data present"):
        found(**{half: "x"})


@pytest.mark.parametrize("end", ["", "\n", "\r\n", " \n\n"])
def test_one_auth_is_split_at_the_first_colon_and_the_password_hashed(tmp_path, end):
    file = tmp_path / "auth"
    file.write_bytes(f"helen:pass:wörd{end}".encode())
    pair = found(ONE_AUTH=str(file))
    assert pair.access_key == "helen"
    assert pair.secret_key == hashlib.sha256("pass:wörd".encode()).hexdigest()
    assert pair.older_secret == hashlib.sha1("pass:wörd".encode()).hexdigest()


def test_only_one_auth_has_two_secrets():
    assert found("a", "s").older_secret == found(**EC2).older_secret == ""
    assert found(**AWS).older_secret == ""


@pytest.mark.parametrize("content", [b"", b"helen", b"helen:", b":p", b"helen:p\nfred:q", b"\x00"])
def test_a_malformed_one_auth_is_an_error(tmp_path, content):
    file = tmp_path / "auth"
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match="Authorization data malformed"):
        found(ONE_AUTH=str(file), **AWS)


def test_a_named_one_auth_that_is_missing_is_an_error_and_no_reason_to_be_someone_else(home):
    with pytest.raises(Misconfigured, match="does not exist"):
        found(ONE_AUTH=str(home / "none"), HOME=str(home), **AWS)


def test_a_one_auth_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(Misconfigured, match="cannot read"):
        found(ONE_AUTH=str(tmp_path), **AWS)


def test_without_a_home_there_is_no_usual_file():
    assert found(**AWS).access_key == "of-aws"


def test_the_secret_does_not_show():
    assert "geheim" not in f"{Credentials('helen', 'geheim', 'geheimer')!r}"


def test_the_url_is_that_of_the_option_then_of_the_environment_then_local():
    assert find_url("http://a", {"EC2_URL": "http://b"}) == "http://a"
    assert find_url(None, {"EC2_URL": "http://b"}) == "http://b"
    assert find_url(None, {"EC2_URL": ""}) == DEFAULT_URL == "http://localhost:4567"
