"""The census: users, networks, types and machines of an engine become rows, and stay in step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster_site import ADA, BOB, EXTRA, MAIN, ClusterSite, person

from econe.domain.accounts import AccessKey, Limits
from econe.domain.engine_ports import EngineBusy, EngineLost, EngineRefused, Phase, SeenNic
from econe.domain.hidden import Hidden
from econe.domain.instances import InstanceState as S
from econe.domain.queries import Query
from econe.domain.reasons import Reason
from econe.domain.sizes import Size

HOUR_S = 3600.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ClusterSite]:
    yield from opened(tmp_path)


def opened(directory: Path, **settings: Any) -> Iterator[ClusterSite]:
    site = ClusterSite(directory, **settings)
    yield site
    site.engine.close()
    site.store.close()


def key(site: ClusterSite, name: str) -> AccessKey | None:
    with site.store.reading() as tx:
        return tx.access_keys.get(name)


def secret(site: ClusterSite, name: str) -> tuple[str, str] | None:
    """Whose key it is, and what proves it; None where nobody signs in with it."""
    found = key(site, name)
    if found is None or not found.enabled:
        return None
    (proof,) = found.secrets
    return found.account, proof.reveal()


def names(site: ClusterSite) -> dict[str, str]:
    with site.store.reading() as tx:
        return {row.number: row.name for row in tx.accounts.all() if row.engine_ref}


def commits(site: ClusterSite) -> list[str]:
    """Of one census."""
    crossed: list[str] = []
    site.store.boundary = lambda what, when: crossed.append(what) if when == "after" else None
    site.take()
    site.store.boundary = None
    return crossed


def statements(site: ClusterSite, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """That one census reads the store with."""
    ran: list[str] = []
    reading = site.store.reading

    @contextmanager
    def traced() -> Iterator[Any]:
        with reading() as tx:
            connection = tx._session._connection
            connection.set_trace_callback(ran.append)
            try:
                yield tx
            finally:
                connection.set_trace_callback(None)

    with monkeypatch.context() as patch:
        patch.setattr(site.store, "reading", traced)
        site.take()
    return ran


# --- users -------------------------------------------------------------------------------


def test_users_become_accounts_that_sign_in_with_their_names(site: ClusterSite):
    limits = Limits(instances=3, memory_mib=4096)
    site.world.cluster.put_person(person("2", "ada", groups=("100", "1"), limits=limits))
    site.take()
    account = site.account(ADA)
    assert (account.name, account.engine_ref, account.enabled) == ("ada", "2", True)
    assert (account.groups, account.limits) == (("100", "1"), limits)
    assert secret(site, "ada") == (ADA, "hash of ada")
    assert key(site, "ada").is_password
    assert secret(site, "bob") == (BOB, "hash of bob")


def test_a_census_that_finds_nothing_new_commits_nothing(site: ClusterSite):
    site.world.cluster.networks.append(EXTRA)
    site.world.cluster.sizes.append(Size("one.small", 1, 128))
    site.stranger("7")
    site.engine.machines.look()
    assert commits(site) != []
    assert commits(site) == []
    site.engine.machines.look()
    assert commits(site) == []


def test_a_changed_password_counts_and_the_key_stays_as_old_as_it_is(site: ClusterSite):
    site.take()
    before = key(site, "ada")
    site.clock.pass_s(30)
    site.world.cluster.put_person(person("2", "ada", secret=Hidden("other")))
    site.take()
    assert secret(site, "ada") == (ADA, "other")
    assert key(site, "ada").created_at == before.created_at


def test_a_disabled_user_is_shut_out_and_comes_back(site: ClusterSite):
    site.take()
    for enabled in (False, True):
        site.world.cluster.put_person(person("2", "ada", enabled=enabled))
        site.take()
        assert site.account(ADA).enabled is enabled
        assert (secret(site, "ada") is not None) is enabled


def test_a_user_without_a_secret_has_no_password_key(site: ClusterSite):
    site.take()
    site.world.cluster.put_person(person("2", "ada", secret=None))
    site.take()
    assert key(site, "ada") is None
    assert site.account(ADA).enabled


def test_a_user_who_is_gone_loses_name_and_key_and_keeps_what_is_theirs(site: ClusterSite):
    site.take()
    with site.store.writing() as tx:
        tx.access_keys.add(AccessKey("AKIA1", ADA, (Hidden("s"),), site.clock()))
    del site.world.cluster.people["2"]
    site.take()
    assert (site.account(ADA).name, site.account(ADA).enabled) == ("ada#2", False)
    assert key(site, "ada") is None
    assert key(site, "AKIA1") is not None
    assert commits(site) == []


def test_a_name_that_another_user_took_over_opens_the_others_account(site: ClusterSite):
    site.take()
    del site.world.cluster.people["2"]
    site.world.cluster.put_person(person("9", "ada", secret=Hidden("of nine")))
    site.take()
    assert names(site) == {ADA: "ada#2", BOB: "bob", "100000000009": "ada"}
    assert secret(site, "ada") == ("100000000009", "of nine")


def test_a_renamed_user_stays_the_same_account(site: ClusterSite):
    site.take()
    site.world.cluster.put_person(person("2", "lovelace"))
    site.take()
    assert site.account(ADA).name == "lovelace"
    assert secret(site, "lovelace") == (ADA, "hash of lovelace")
    assert key(site, "ada") is None


def test_two_users_may_take_each_others_names(site: ClusterSite):
    site.take()
    site.world.cluster.put_person(person("2", "bob", secret=Hidden("of two")))
    site.world.cluster.put_person(person("3", "ada", secret=Hidden("of three")))
    site.take()
    assert names(site) == {ADA: "bob", BOB: "ada"}
    assert secret(site, "bob") == (ADA, "of two")
    assert secret(site, "ada") == (BOB, "of three")


def test_a_users_name_never_takes_the_place_of_another_key(
    site: ClusterSite, caplog: pytest.LogCaptureFixture
):
    site.take()
    with site.store.writing() as tx:
        tx.access_keys.add(AccessKey("AKIA1", BOB, (Hidden("bob's own"),), site.clock()))
    site.world.cluster.put_person(person("8", "AKIA1"))
    for _ in range(3):
        site.take()
    assert secret(site, "AKIA1") == (BOB, "bob's own")
    assert site.account("100000000008").name == "AKIA1"
    assert caplog.text.count("is an access key already") == 1


def test_a_users_name_that_an_account_of_ours_has_is_told_apart(site: ClusterSite):
    site.world.cluster.put_person(person("5", "helen"))
    site.take()
    assert names(site)["100000000005"] == "helen#5"
    assert secret(site, "helen") == ("100000000005", "hash of helen")


def test_additional_keys_can_be_made_the_only_ones(tmp_path: Path):
    for site in opened(tmp_path, password_keys=False):
        site.take()
        assert site.account(ADA).enabled
        assert key(site, "ada") is None


def test_password_keys_go_when_they_are_switched_off(site: ClusterSite):
    site.take()
    site.estate = replace(site.estate, password_keys=False)
    site.restart()
    site.take()
    assert key(site, "ada") is None


@pytest.mark.parametrize("away", [EngineBusy("x"), EngineLost("x"), EngineRefused("x")])
def test_what_was_heard_of_users_is_believed_for_an_hour(site: ClusterSite, away: Exception):
    site.take()
    site.world.script.fail("estate.people", 1000, with_=away)
    site.clock.pass_s(HOUR_S - 1)
    assert commits(site) == []
    assert secret(site, "ada") is not None
    site.clock.pass_s(2)
    site.take()
    assert secret(site, "ada") is None
    assert site.account(ADA).enabled, "additional keys go on"
    assert commits(site) == []
    site.world.script.clear()
    site.take()
    assert secret(site, "ada") == (ADA, "hash of ada")


def test_a_server_that_starts_while_the_engine_is_away_counts_from_then(site: ClusterSite):
    site.take()
    site.clock.pass_s(10 * HOUR_S)
    site.restart()
    site.world.script.fail("estate.people", 1000, with_=EngineBusy("x"))
    site.take()
    assert secret(site, "ada") is not None
    site.clock.pass_s(HOUR_S)
    site.take()
    assert secret(site, "ada") is None


def test_the_loop_counts_how_long_the_engine_is_away_though_nothing_can_be_seen(site: ClusterSite):
    site.loop.round()
    for method in ("estate.people", "machines.look"):
        site.world.script.fail(method, 1000, with_=EngineBusy("x"))
    for _ in range(2):
        site.clock.pass_s(HOUR_S)
        with pytest.raises(EngineBusy):
            site.loop.round()
    assert secret(site, "ada") is None


def test_no_users_at_all_are_not_believed(site: ClusterSite):
    site.take()
    site.world.cluster.people.clear()
    site.take()
    assert secret(site, "ada") is not None


@pytest.mark.parametrize("ref", ["x", "-1", str(10**11), ""])
def test_a_user_whose_id_makes_no_account_is_left_out(site: ClusterSite, ref: str):
    site.world.cluster.put_person(person(ref, "odd"))
    site.take()
    assert set(names(site)) == {ADA, BOB}


# --- networks ----------------------------------------------------------------------------


def networks(site: ClusterSite, account: str = ADA) -> dict[str, tuple[str, bool]]:
    """What the account sees: by the engine's name, range and whether it is the default one."""
    with site.store.reading() as tx:
        vpcs = tx.vpcs.find(Query(account=account)).items
        subnets = {row.vpc_id: row for row in tx.subnets.find(Query(account=account)).items}
        groups = {row.vpc_id: row for row in tx.security_groups.find(Query(account=account)).items}
    for vpc in vpcs:
        subnet = subnets[vpc.id]
        assert (subnet.cidr, subnet.is_default) == (vpc.cidr, vpc.is_default)
        assert subnet.engine_ref == vpc.engine_ref
        assert groups[vpc.id].name == "default"
    assert len(subnets) == len(groups) == len(vpcs)
    return {vpc.engine_ref: (vpc.cidr, vpc.is_default) for vpc in vpcs}


def offer(site: ClusterSite, *offered: Any) -> None:
    site.world.cluster.networks[:] = offered
    site.take()


def test_every_user_sees_the_networks_that_are_offered(site: ClusterSite):
    offer(site, MAIN, EXTRA)
    wanted = {"0": (MAIN.cidr, True), "1": (EXTRA.cidr, False)}
    assert networks(site, ADA) == networks(site, BOB) == wanted
    site.world.cluster.put_person(person("4", "eve"))
    site.take()
    assert networks(site, "100000000004") == wanted


def test_a_network_that_changes_is_followed(site: ClusterSite):
    offer(site, MAIN, EXTRA)
    offer(site, replace(MAIN, is_default=False), replace(EXTRA, is_default=True))
    assert networks(site) == {"0": (MAIN.cidr, False), "1": (EXTRA.cidr, True)}
    offer(site, replace(MAIN, cidr="10.0.0.0/8"), EXTRA)
    assert networks(site) == {"0": ("10.0.0.0/8", True), "1": (EXTRA.cidr, False)}


def test_a_network_that_nobody_is_in_goes_when_it_is_not_offered_any_more(site: ClusterSite):
    offer(site, MAIN, EXTRA)
    offer(site, EXTRA)
    assert networks(site) == {"1": (EXTRA.cidr, False)}
    offer(site)
    assert networks(site) == {}
    assert commits(site) == []


def test_a_network_with_an_instance_in_it_stays_and_is_not_the_default_one(site: ClusterSite):
    site.take()
    site.stranger("7")
    site.rounds(3)
    offer(site, replace(EXTRA, is_default=True))
    assert networks(site) == {"0": (MAIN.cidr, False), "1": (EXTRA.cidr, True)}
    assert networks(site, BOB) == {"1": (EXTRA.cidr, True)}
    assert commits(site) == []
    offer(site, MAIN)
    assert networks(site) == {"0": (MAIN.cidr, True)}


@pytest.mark.parametrize("cidr", ["", "fd00::/64", "10.0.0.1/24", "x"])
def test_a_network_without_an_ipv4_range_is_not_offered(site: ClusterSite, cidr: str):
    offer(site, replace(MAIN, cidr=cidr), EXTRA)
    assert networks(site) == {"1": (EXTRA.cidr, False)}


def test_there_is_one_default_network_whatever_the_engine_says(site: ClusterSite):
    offer(site, MAIN, MAIN, replace(EXTRA, is_default=True))
    assert networks(site) == {"0": (MAIN.cidr, True), "1": (EXTRA.cidr, False)}


def test_the_default_network_of_an_account_that_was_made_here_gives_way(site: ClusterSite):
    site.take()
    with site.store.writing() as tx:
        (vpc,) = tx.vpcs.find(Query(account=ADA)).items
        tx.vpcs.save(replace(vpc, engine_ref=""))
    site.take()
    with site.store.reading() as tx:
        found = {row.engine_ref: row.is_default for row in tx.vpcs.find(Query(account=ADA)).items}
    assert found == {"": False, "0": True}


# --- types -------------------------------------------------------------------------------


def sizes(site: ClusterSite) -> list[Size]:
    with site.store.reading() as tx:
        return tx.sizes.all()


def test_types_are_taken_over(site: ClusterSite):
    small, own = Size("one.small", 1, 128, engine_ref="4"), Size("one.small", 2, 256, owner=ADA)
    site.world.cluster.sizes += [own, small, replace(small, vcpus=9), Size("bad", 0, 1)]
    site.take()
    assert sizes(site) == [small, own]
    site.world.cluster.sizes.clear()
    site.take()
    assert sizes(site) == []


# --- machines ----------------------------------------------------------------------------


def adopted(site: ClusterSite) -> dict[str, S]:
    with site.store.reading() as tx:
        rows = [row for row in tx.instances.find(Query()).items if row.adopted]
    assert len({row.reservation_id for row in rows}) == len(rows)
    return {row.id: row.state for row in rows}


def test_a_machine_of_others_is_an_instance_with_all_that_is_known(site: ClusterSite):
    site.take()
    with site.store.writing() as tx:
        tx.images.add(replace(site.image("ami-00000044"), engine_ref="3", account=ADA))
    site.clock.pass_s(600)
    nic = SeenNic("02:00:0a:63:00:07", "10.99.0.7", "0")
    site.stranger(
        "7",
        image_ref="3",
        key_name="mykey",
        root_gib=5,
        tags={"env": "prod", "aws:no": "", "k" * 129: "", "": "v"},
        vcpus=2,
        memory_mib=512,
    )
    site.clock.pass_s(60)
    site.loop.round()
    assert adopted(site) == {"i-00000007": S.RUNNING}
    row = site.row("i-00000007")
    assert (row.account, row.engine_ref, row.image_id) == (ADA, "7", "ami-00000044")
    assert (row.instance_type, row.vcpus, row.memory_mib) == ("one.1x128", 2, 512)
    assert (row.key_name, row.public_key) == ("mykey", None)
    assert row.launched_at < site.clock()
    assert row.tags == {"Name": "vm 7", "env": "prod"}
    assert row.metadata_options.http_endpoint == "disabled"
    (volume,) = row.volumes
    assert (volume.size_gib, volume.device, volume.image_id) == (5, row.root_device, row.image_id)
    (interface,) = row.interfaces
    assert (interface.mac, interface.private_ip) == (nic.mac, nic.private_ip)
    assert (interface.vpc_id, interface.subnet_id) == (row.vpc_id, row.subnet_id)
    site.settle()
    assert adopted(site) == {"i-00000007": S.RUNNING}
    assert site.row("i-00000007").tags == row.tags


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.RUNNING, S.RUNNING),
        (Phase.MOVING, S.PENDING),
        (Phase.DEFINED, S.STOPPED),
        (Phase.HALTED, S.STOPPED),
        (Phase.DIED, S.STOPPED),
        (Phase.FAILED, S.STOPPED),
    ],
)
def test_its_state_is_what_the_engine_shows(site: ClusterSite, phase: Phase, state: S):
    site.take()
    site.stranger("7", phase)
    site.loop.round()
    assert adopted(site) == {"i-00000007": state}
    for _ in range(5):
        site.clock.pass_s(1)
        site.loop.round()
    assert adopted(site) == {"i-00000007": state}
    assert site.world.machines["i-00000007"].phase is phase, "nothing was asked of it"


def test_why_it_failed_is_told(site: ClusterSite):
    site.take()
    told = Reason("Client.VolumeLimitExceeded", "Client.VolumeLimitExceeded: No room.")
    site.stranger("7", Phase.FAILED, seen={"reason": told, "why": "datastore 1 is full"})
    site.stranger("8", Phase.FAILED)
    site.loop.round()
    row = site.row("i-00000007")
    assert (row.state_reason, row.problem) == (told, "datastore 1 is full")
    assert site.row("i-00000008").state_reason.code == "Server.InternalError"


def test_a_machine_that_was_being_switched_off_is_not_started(site: ClusterSite):
    site.take()
    site.stranger("7", Phase.MOVING)
    site.rounds(2)
    site.world.machines["i-00000007"].phase = Phase.DEFINED
    site.rounds(5)
    assert adopted(site) == {"i-00000007": S.STOPPED}
    assert site.world.machines["i-00000007"].phase is Phase.DEFINED
    site.start_of(ADA, "i-00000007")
    site.settle()
    assert adopted(site) == {"i-00000007": S.RUNNING}


def test_a_machine_that_never_came_up_is_not_ended_for_it(site: ClusterSite):
    site.take()
    site.stranger("7", Phase.MOVING)
    site.rounds(2)
    site.world.machines["i-00000007"].phase = Phase.FAILED
    site.rounds(5)
    assert adopted(site) == {"i-00000007": S.STOPPED}
    assert "i-00000007" in site.world.machines


def test_what_its_owner_asks_of_it_is_done(site: ClusterSite):
    site.take()
    site.stranger("7")
    site.settle()
    site.terminate_of(ADA, "i-00000007")
    site.settle()
    assert adopted(site) == {"i-00000007": S.TERMINATED}
    assert site.world.machines == {}


def test_a_machine_that_others_end_is_terminated(site: ClusterSite):
    site.take()
    site.stranger("7")
    site.settle()
    site.world.drop("i-00000007")
    site.settle()
    assert adopted(site) == {"i-00000007": S.TERMINATED}


def test_numbers_are_kept_where_they_can_be(site: ClusterSite):
    site.take()
    site.launch_of(ADA, 3)
    for ref in ("2", "41", "40"):
        site.stranger(ref)
    site.engine.machines.look()
    site.take()
    assert {site.row(id_).engine_ref: id_ for id_ in adopted(site)} == {
        "2": "i-00000004",
        "41": "i-00000041",
        "40": "i-00000042",
    }


def test_a_machine_is_taken_up_once(site: ClusterSite):
    site.take()
    site.stranger("7")
    for _ in range(3):  # the second and third time from a look of before
        site.take() if adopted(site) else site.loop.round()
    assert list(adopted(site)) == ["i-00000007"]


def test_a_machine_of_nobody_is_left_alone_until_it_has_an_owner(site: ClusterSite):
    site.take()
    site.stranger("7", account="100000000077")
    site.rounds(3)
    assert adopted(site) == {}
    assert not site.census.has_machines()
    site.world.cluster.put_person(person("77", "late"))
    site.take()
    assert list(adopted(site)) == ["i-00000007"]


def test_a_machine_that_went_to_another_user_is_theirs(site: ClusterSite):
    site.take()
    site.stranger("7")
    site.settle()
    machine = site.world.machines.pop("i-00000007")
    site.stranger("7", account=BOB)
    machine.nics = None
    site.settle()
    site.clock.pass_s(60)
    site.settle()
    rows = {site.row(id_).account: state for id_, state in adopted(site).items()}
    assert rows == {ADA: S.TERMINATED, BOB: S.RUNNING}


def test_machines_of_others_can_be_left_out(tmp_path: Path):
    for site in opened(tmp_path, adopt_machines=False):
        site.take()
        site.stranger("7")
        site.rounds(35)
        assert adopted(site) == {}
        assert not site.census.has_machines()


def test_one_that_cannot_be_written_does_not_keep_the_others_out(
    site: ClusterSite, caplog: pytest.LogCaptureFixture
):
    site.take()
    site.stranger("7")
    site.stranger("8", launched_at=site.clock().replace(tzinfo=None))
    site.stranger("9")
    site.rounds(5)
    assert list(adopted(site)) == ["i-00000007", "i-00000009"]
    assert caplog.text.count("cannot be taken up ref=8") == 1


def test_a_machine_is_taken_up_in_the_round_that_sees_it(site: ClusterSite):
    site.loop.round()
    site.stranger("7")
    site.clock.pass_s(1)
    site.loop.round()
    assert list(adopted(site)) == ["i-00000007"]


def test_machines_of_an_unknown_instance_are_never_ended(site: ClusterSite):
    site.take()
    (id_,) = site.running_of(ADA)
    with site.store.writing() as tx:
        row = tx.instances.get(id_)
        for volume in row.volumes:
            tx.volumes.remove(volume.id)
        for interface in row.interfaces:
            tx.interfaces.remove(interface.id)
        tx.instances.remove(id_)
    site.rounds(35)
    assert id_ in site.world.machines


# --- all of it ---------------------------------------------------------------------------


def test_a_part_that_fails_leaves_the_others_to_go_on(site: ClusterSite):
    site.world.cluster.sizes.append(Size("one.small", 1, 128))
    site.world.script.fail("estate.networks", 1, with_=ValueError("rubbish"))
    site.take()
    assert networks(site) == {}
    assert sizes(site) != []
    site.take()
    assert networks(site) != {}


def test_an_engine_that_is_away_is_asked_once_a_census(site: ClusterSite):
    asked: list[str] = []
    site.world.script.boundaries.append(
        lambda method, when: asked.append(method) if when == "before" else None
    )
    site.world.script.fail("estate.people", 1, with_=EngineBusy("x"))
    site.take()
    assert asked == ["estate.people"]


def test_an_engine_that_is_ours_alone_has_no_census(site: ClusterSite):
    site.engine.estate = None
    site.take()
    site.census.adopt(site.clock())
    assert names(site) == {}


def test_the_loop_takes_a_census_at_once_and_every_half_minute(site: ClusterSite):
    asked: list[str] = []
    site.world.script.boundaries.append(
        lambda method, when: asked.append(when) if method == "estate.people" else None
    )
    site.rounds(61)
    assert asked.count("before") == 3


def test_a_thousand_users_cost_little_once_they_are_known(
    site: ClusterSite, monkeypatch: pytest.MonkeyPatch
):
    """Some commits at first, none later; and then as few statements as for one user."""
    site.take()
    few = statements(site, monkeypatch)
    cluster = site.world.cluster
    for number in range(100, 1100):
        cluster.put_person(person(str(number), f"user{number}"))
    cluster.networks += [EXTRA, replace(EXTRA, ref="2", cidr="10.97.0.0/24")]
    assert len(commits(site)) <= 40
    assert len(networks(site, "100000001099")) == 3
    assert commits(site) == []
    assert len(statements(site, monkeypatch)) == len(few) > 0


# --- marks -------------------------------------------------------------------------------


def test_a_copy_that_carries_an_instances_mark_is_an_instance_of_its_own(site: ClusterSite):
    site.take()
    (id_,) = site.running_of(ADA)
    site.stranger("30", marked=id_)
    site.rounds(2)
    assert list(adopted(site)) == ["i-00000030"]
    assert site.state(id_) is S.RUNNING


def test_what_an_instance_on_its_way_up_may_turn_out_to_be_is_left_alone(site: ClusterSite):
    site.take()
    site.world.script.fail("machines.ensure", 1000, with_=EngineLost("no answer"))
    (id_,) = site.launch_of(ADA)
    site.stranger("30", marked=id_)
    site.rounds(5)
    assert adopted(site) == {}
    site.stranger("31", marked=id_, account=BOB)
    site.rounds(2)
    assert list(adopted(site)) == ["i-00000031"], "it is another user's copy"


def test_a_machine_whose_row_was_lost_is_that_instance_again(site: ClusterSite):
    site.take()
    site.stranger("30", marked="i-00000012")
    site.rounds(2)
    assert list(adopted(site)) == ["i-00000012"]
    assert site.row("i-00000012").engine_ref == "30"
