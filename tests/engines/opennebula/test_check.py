"""`econe-server check --engine opennebula`: what is there, and what is missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.oned import Oned, Prepared, prepared_world
from tests.support.oned.prepared import HELEN, SECRET

from econe.engines.findings import Finding
from econe.engines.opennebula.check import report
from econe.settings import Opennebula


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepared_world(upload_dir=str(tmp_path))


@pytest.fixture
def oned(prepared: Prepared) -> Iterator[Oned]:
    with Oned(prepared.world) as oned:
        yield oned


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    path = tmp_path / "ec2_auth"
    path.touch(mode=0o600)
    path.write_text(f"serveradmin:{SECRET}\n")
    return path


def found(oned: Oned, credentials: Path, **settings: object) -> dict[str, Finding]:
    place = credentials.parent
    usual = {"endpoint": oned.url, "credentials": credentials, "upload_path": place / "upload"}
    said = Opennebula(**(usual | settings))  # type: ignore[arg-type]
    findings = report(place / "state", said)
    return {each.name: each for each in findings}


def bad(findings: dict[str, Finding]) -> list[str]:
    return [name for name, finding in findings.items() if not finding.ok]


def test_where_all_is_well_it_says_so_and_changes_nothing(oned: Oned, credentials: Path):
    findings = found(oned, credentials)
    assert bad(findings) == []
    assert "7.0.2" in findings["login"].said
    assert "serveradmin" in findings["group"].said
    assert "3 can sign in" in findings["users"].said  # oneadmin, helen, bob
    assert "1 with the driver server_cipher" in findings["users"].said
    assert all(".info" in name or ".version" in name for name in oned.calls.counts())


@pytest.mark.parametrize("version", ["5.8.5", "5.12.0", "6.2.0"])
def test_it_says_how_this_version_wants_its_tokens(tmp_path: Path, credentials: Path, version: str):
    world = prepared_world(upload_dir=str(tmp_path), version=version).world
    with Oned(world) as oned:
        login = found(oned, credentials)["login"]
    assert login.ok
    assert version in login.said


def test_without_a_service_account_it_is_known_whether_oned_answers(oned: Oned, tmp_path: Path):
    findings = found(oned, tmp_path / "none")
    assert list(findings) == ["service account", "oned"]
    assert bad(findings) == ["service account"]
    oned.stop()
    assert bad(found(oned, tmp_path / "none")) == ["service account", "oned"]


def test_a_file_that_everybody_may_read_is_a_finding(oned: Oned, credentials: Path):
    credentials.chmod(0o644)
    findings = found(oned, credentials)
    assert bad(findings) == ["service account"]
    assert "chmod 600" in findings["service account"].said


@pytest.mark.parametrize("content", ["serveradmin:wrong", f"helen:{HELEN}"])
def test_a_login_that_is_not_taken_is_where_it_ends(oned: Oned, credentials: Path, content: str):
    credentials.write_text(content)
    findings = found(oned, credentials)
    assert bad(findings) == ["login"]
    assert "server_cipher" in findings["login"].said
    assert list(findings)[-1] == "login"


def test_a_service_account_outside_oneadmin_is_found(
    oned: Oned, prepared: Prepared, credentials: Path
):
    user = prepared.world.user_named("serveradmin")
    assert user is not None
    user.gid, user.groups = prepared.group.id, [prepared.group.id]
    findings = found(oned, credentials)
    assert "group" in bad(findings)
    assert "oneuser addgroup serveradmin oneadmin" in findings["group"].said


def test_who_cannot_sign_in_is_counted_with_the_reason(
    oned: Oned, prepared: Prepared, credentials: Path
):
    prepared.bob.enabled = False
    prepared.helen.driver = "x509"
    said = found(oned, credentials)["users"].said
    assert said.startswith("1 can sign in")
    assert "1 disabled" in said
    assert "1 with the driver x509" in said
    assert "econe-admin" in found(oned, credentials, password_keys=False)["users"].said


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("1", "GiB free"), ("files", "not for images"), ("none", "there is no datastore 'none'")],
)
def test_the_datastore_is_found_by_id_or_name(
    oned: Oned, credentials: Path, wanted: str, said: str
):
    finding = found(oned, credentials, datastore=wanted)["datastore"]
    assert said in finding.said
    assert finding.ok == (wanted == "1")


def test_a_datastore_without_room_is_found(oned: Oned, prepared: Prepared, credentials: Path):
    prepared.datastore.free_mb = 0
    assert "0 MiB free" in found(oned, credentials)["datastore"].said


# --- what is on its way, and where it goes


def test_uploads_need_a_directory_that_oned_may_read_from(
    oned: Oned, prepared: Prepared, credentials: Path, tmp_path: Path
):
    prepared.datastore.template.set("RESTRICTED_DIRS", "/")
    prepared.datastore.template.set("SAFE_DIRS", f"/var/tmp {tmp_path}/upload")
    good = found(oned, credentials, upload_path=tmp_path / "upload" / "econe")["uploads"]
    assert good.ok
    bad = found(oned, credentials, upload_path=tmp_path / "elsewhere")["uploads"]
    assert not bad.ok
    assert f"not among the datastore's SAFE_DIRS (/var/tmp {tmp_path}/upload)" in bad.said
    assert not (tmp_path / "upload").exists()


def test_a_directory_that_others_may_write_to_is_not_fit(
    oned: Oned, credentials: Path, tmp_path: Path
):
    place = tmp_path / "upload"
    place.mkdir()
    assert found(oned, credentials, upload_path=place)["uploads"].ok
    place.chmod(0o777)
    finding = found(oned, credentials, upload_path=place)["uploads"]
    assert (finding.ok, finding.said) == (False, f"{place} can be written to by others")


def test_uploads_by_url_need_one(oned: Oned, credentials: Path):
    assert not found(oned, credentials, upload_by="url")["uploads"].ok
    good = found(oned, credentials, upload_by="url", upload_url="http://econe:4567")["uploads"]
    assert (good.ok, good.said) == (
        True,
        "oned fetches them from http://econe:4567/staged/, if its host reaches that",
    )


def test_networks_are_named_with_their_ranges_and_missing_ones_too(oned: Oned, credentials: Path):
    said = found(oned, credentials)["networks"].said
    assert said.startswith("public (id 0) 147.96.80.0/24 by default")
    assert found(oned, credentials, network="public", networks=("0",))["networks"].ok
    missing = found(oned, credentials, network="private")["networks"]
    assert (missing.ok, "no virtual network private" in missing.said) == (False, True)


def test_types_are_those_of_templates_and_of_the_catalogue(
    oned: Oned, prepared: Prepared, credentials: Path
):
    assert "m1.small; and " in found(oned, credentials)["instance types"].said
    assert found(oned, credentials, catalogue=False)["instance types"].ok
    prepared.m1_small.template.set("EC2_INSTANCE_TYPE", "")
    assert not found(oned, credentials, catalogue=False)["instance types"].ok
