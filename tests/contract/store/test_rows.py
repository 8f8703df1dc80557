"""What every store promises of rows: domain/ports.py, Rows and its kin."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.store import made
from tests.contract.store.made import HELEN, JOHN, NOW, later

from econe.domain.images import ImageState
from econe.domain.instances import InstanceState
from econe.domain.ports import Answered, Stale, Store, StoreBroken, Taken, Transaction
from econe.domain.queries import Query
from econe.domain.volumes import VolumeState

NOUNS: dict[str, Callable[..., Any]] = {
    "images": made.image,
    "instances": made.instance,
    "key_pairs": made.key_pair,
    "launch_templates": made.launch_template,
    "volumes": made.volume,
    "interfaces": made.interface,
    "vpcs": lambda **f: made.vpc("vpc-00000009", is_default=False, **f),
    "subnets": lambda **f: made.subnet(
        "subnet-00000009", is_default=False, cidr="172.31.16.0/20", **f
    ),
    "security_groups": lambda **f: made.security_group("sg-00000009", name="web", **f),
}
CHANGES: dict[str, dict[str, Any]] = {
    "images": {"registered": False, "state": ImageState.DEREGISTERED, "public": True},
    "instances": {"state": InstanceState.RUNNING, "engine_ref": "x", "generation": 2},
    "key_pairs": {"fingerprint": "other"},
    "launch_templates": {"default_number": 3, "last_number": 6},
    "volumes": {"state": VolumeState.DELETING, "size_gib": 9},
    "interfaces": {"private_ip": "172.31.9.9", "groups": ()},
    "vpcs": {"cidr": "10.0.0.0/16"},
    "subnets": {"zone": "us-east-1b"},
    "security_groups": {"description": "changed"},
}
every_noun = pytest.mark.parametrize("noun", NOUNS)


def rows_of(tx: Transaction, noun: str) -> Any:
    return getattr(tx, noun)


@every_noun
def test_a_row_comes_back_as_it_was_added(store: Store, noun: str) -> None:
    row = NOUNS[noun]()
    with store.writing() as tx:
        rows_of(tx, noun).add(row)
        assert rows_of(tx, noun).get(row.id) == row
    with store.reading() as tx:
        assert rows_of(tx, noun).get(row.id) == row


def test_an_instance_comes_back_with_every_field(store: Store) -> None:
    row = made.full_instance()
    with store.writing() as tx:
        tx.instances.add(row)
    with store.reading() as tx:
        assert tx.instances.get(row.id) == row


def test_an_instance_comes_with_its_interfaces_volumes_and_tags(store: Store) -> None:
    with store.writing() as tx:
        tx.instances.add(made.instance())
        for number, index in ((2, 1), (3, 0)):
            tx.interfaces.add(
                made.interface(f"eni-0000000{number}", instance_id="i-00000001", device_index=index)
            )
        for number, device in ((5, "/dev/sdb"), (6, "/dev/sda1")):
            tx.volumes.add(
                made.volume(f"vol-0000000{number}", instance_id="i-00000001", device=device)
            )
        tx.tags.put(HELEN, "i-00000001", "instance", {"Name": "web", "b": "", "ключ": "значение"})
        tx.tags.put(HELEN, "eni-00000002", "network-interface", {"n": "1"})
        tx.tags.put(HELEN, "vol-00000005", "volume", {"v": "2"})
    with store.reading() as tx:
        row = tx.instances.get("i-00000001")
        assert row is not None
        assert [nic.id for nic in row.interfaces] == ["eni-00000003", "eni-00000002"]
        assert [disk.device for disk in row.volumes] == ["/dev/sda1", "/dev/sdb"]
        assert row.tags == {"Name": "web", "b": "", "ключ": "значение"}
        assert row.interfaces == tuple(tx.interfaces.many(["eni-00000003", "eni-00000002"]))
        assert row.volumes == tuple(tx.volumes.many(["vol-00000006", "vol-00000005"]))
        assert row.volumes[1].tags == {"v": "2"}


@every_noun
def test_what_is_not_there_is_none(store: Store, noun: str) -> None:
    with store.reading() as tx:
        assert rows_of(tx, noun).get("nothing-00000001") is None


def test_many_keeps_the_order_asked_for_and_leaves_out_what_is_not_there(store: Store) -> None:
    ids = [f"key-0000000{number}" for number in (3, 1, 2)]
    with store.writing() as tx:
        for row_id in sorted(ids):
            tx.key_pairs.add(made.key_pair(row_id))
    with store.reading() as tx:
        found = tx.key_pairs.many([ids[0], "key-00000009", *ids[1:], ids[0]])
        assert [row.id for row in found] == [*ids, ids[0]]
        assert tx.key_pairs.many(iter(ids)) == tx.key_pairs.many(ids)
        assert tx.key_pairs.many([]) == []


@every_noun
def test_saving_raises_the_version_by_one(store: Store, noun: str) -> None:
    row = NOUNS[noun]()
    with store.writing() as tx:
        rows_of(tx, noun).add(row)
        saved = rows_of(tx, noun).save(replace(row, **CHANGES[noun]))
        assert saved == replace(row, **CHANGES[noun], version=row.version + 1)
        assert rows_of(tx, noun).get(row.id) == saved


@every_noun
def test_saving_over_another_version_is_stale_and_changes_nothing(store: Store, noun: str) -> None:
    row = NOUNS[noun]()
    with store.writing() as tx:
        rows_of(tx, noun).add(row)
        saved = rows_of(tx, noun).save(replace(row, **CHANGES[noun]))
    with store.writing() as tx:
        for version in (row.version, saved.version + 1):
            with pytest.raises(Stale):
                rows_of(tx, noun).save(replace(row, version=version))
        assert rows_of(tx, noun).get(row.id) == saved


@every_noun
def test_saving_what_is_not_there_is_stale(store: Store, noun: str) -> None:
    with store.writing() as tx, pytest.raises(Stale):
        rows_of(tx, noun).save(NOUNS[noun]())


@every_noun
def test_removing_takes_the_tags_along_and_twice_is_once(store: Store, noun: str) -> None:
    row = NOUNS[noun]()
    with store.writing() as tx:
        rows_of(tx, noun).add(row)
        tx.tags.put(HELEN, row.id, "whatever", {"a": "b"})
        for _ in range(2):
            rows_of(tx, noun).remove(row.id)
        assert rows_of(tx, noun).get(row.id) is None
        assert tx.tags.of(row.id) == {}


def _with_versions(tx: Transaction, *numbers: int, of: str = "lt-00000001") -> None:
    tx.launch_templates.add(made.launch_template(of))
    for number in numbers:
        tx.template_versions.add(made.template_version(number, of))


def test_versions_of_a_template_come_back_as_they_were_added(store: Store) -> None:
    with store.writing() as tx:
        _with_versions(tx, 2, 10, 3)
        _with_versions(tx, 1, of="lt-00000002")
    with store.reading() as tx:
        assert tx.template_versions.numbers("lt-00000001") == [2, 3, 10]
        assert tx.template_versions.get("lt-00000001", 10) == made.template_version(10)
        assert tx.template_versions.get("lt-00000001", 1) is None
        assert tx.template_versions.get("lt-00000002", 2) is None
        assert tx.template_versions.numbers("lt-00000009") == []


def test_removing_a_version_takes_no_other_and_twice_is_once(store: Store) -> None:
    with store.writing() as tx:
        _with_versions(tx, 2, 3)
        _with_versions(tx, 2, of="lt-00000002")
        for _ in range(2):
            tx.template_versions.remove("lt-00000001", 2)
        assert tx.template_versions.numbers("lt-00000001") == [3]
        assert tx.template_versions.numbers("lt-00000002") == [2]


def test_a_template_takes_its_versions_along(store: Store) -> None:
    with store.writing() as tx:
        _with_versions(tx, 2, 3)
        _with_versions(tx, 2, of="lt-00000002")
        tx.launch_templates.remove("lt-00000001")
        assert tx.template_versions.numbers("lt-00000001") == []
        assert tx.template_versions.numbers("lt-00000002") == [2]


def test_a_version_has_a_template(store: Store) -> None:
    with store.writing() as tx, pytest.raises(Taken) as taken:
        tx.template_versions.add(made.template_version())
    assert taken.value.what == "foreign key"


def _again(noun: str) -> Callable[[Transaction], None]:
    return lambda tx: rows_of(tx, noun).add(NOUNS[noun]())


TAKEN: dict[str, tuple[Callable[[Transaction], None], Callable[[Transaction], None]]] = {
    **{f"{noun}.id": (_again(noun), _again(noun)) for noun in ("instances", "volumes", "vpcs")},
    "accounts.number": (lambda tx: None, lambda tx: tx.accounts.add(made.account(name="other"))),
    "accounts.name": (lambda tx: None, lambda tx: tx.accounts.add(made.account("000000000001"))),
    "access_keys.access_key": (
        lambda tx: tx.access_keys.add(made.access_key()),
        lambda tx: tx.access_keys.add(made.access_key(of=JOHN)),
    ),
    "key_pairs.name": (
        lambda tx: tx.key_pairs.add(made.key_pair(name="same")),
        lambda tx: tx.key_pairs.add(made.key_pair("key-00000002", name="same")),
    ),
    "launch_templates.name": (
        lambda tx: tx.launch_templates.add(made.launch_template(name="same")),
        lambda tx: tx.launch_templates.add(made.launch_template("lt-00000002", name="same")),
    ),
    "template_versions.number": (
        lambda tx: _with_versions(tx, 2),
        lambda tx: tx.template_versions.add(made.template_version(2)),
    ),
    "images.name": (
        lambda tx: tx.images.add(made.image(name="same")),
        lambda tx: tx.images.add(made.image("ami-00000002", name="same")),
    ),
    "vpcs.is_default": (
        lambda tx: None,
        lambda tx: tx.vpcs.add(made.vpc("vpc-00000002", cidr="10.0.0.0/16")),
    ),
    "vpcs.cidr": (
        lambda tx: None,
        lambda tx: tx.vpcs.add(made.vpc("vpc-00000002", account=JOHN)),
    ),
    "subnets.cidr": (
        lambda tx: None,
        lambda tx: tx.subnets.add(made.subnet("subnet-00000002", is_default=False)),
    ),
    "subnets.is_default": (
        lambda tx: None,
        lambda tx: tx.subnets.add(made.subnet("subnet-00000002", cidr="172.31.16.0/20")),
    ),
    "security_groups.name": (
        lambda tx: None,
        lambda tx: tx.security_groups.add(made.security_group("sg-00000002")),
    ),
    "volumes.device": (
        made.launch,
        lambda tx: tx.volumes.add(
            made.volume("vol-00000002", instance_id="i-00000001", device="/dev/sda1")
        ),
    ),
    "interfaces.device_index": (
        made.launch,
        lambda tx: tx.interfaces.add(made.interface("eni-00000002", instance_id="i-00000001")),
    ),
    "interfaces.private_ip": (
        lambda tx: tx.interfaces.add(made.interface()),
        lambda tx: tx.interfaces.add(made.interface("eni-00000002", private_ip="172.31.0.1")),
    ),
    "interfaces.mac": (
        lambda tx: tx.interfaces.add(made.interface()),
        lambda tx: tx.interfaces.add(made.interface("eni-00000002", mac="02:00:00:00:00:01")),
    ),
    "tokens.token": (
        lambda tx: tx.tokens.put(HELEN, "A", "t", Answered("d", b"x"), NOW),
        lambda tx: tx.tokens.put(HELEN, "A", "t", Answered("e", b"y"), NOW),
    ),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_constraint_says_what_is_taken_and_the_transaction_goes_on(
    store: Store, what: str
) -> None:
    first, second = TAKEN[what]
    with store.writing() as tx:
        first(tx)
        with pytest.raises(Taken) as refused:
            second(tx)
        assert refused.value.what == what
        tx.accounts.add(made.account("999999999999", "after"))
    with store.reading() as tx:
        assert tx.accounts.named("after") is not None


def test_saving_can_find_a_name_taken_too(store: Store) -> None:
    with store.writing() as tx:
        tx.key_pairs.add(made.key_pair(name="a"))
        tx.key_pairs.add(made.key_pair("key-00000002", name="b"))
        with pytest.raises(Taken, match=r"key_pairs\.name"):
            tx.key_pairs.save(made.key_pair("key-00000002", name="a"))


def test_names_are_free_again_and_other_accounts_have_their_own(store: Store) -> None:
    with store.writing() as tx:
        tx.key_pairs.add(made.key_pair(name="a"))
        tx.key_pairs.add(made.key_pair("key-00000002", name="a", account=JOHN))
        tx.key_pairs.remove("key-00000001")
        tx.key_pairs.add(made.key_pair("key-00000003", name="a"))
        tx.images.add(made.image(name="a", state=ImageState.DEREGISTERED))
        tx.images.add(made.image("ami-00000002", name="a"))


@every_noun
def test_a_row_of_no_account_is_refused(store: Store, noun: str) -> None:
    with store.writing() as tx, pytest.raises(Taken, match="foreign key"):
        rows_of(tx, noun).add(replace(NOUNS[noun](), account="111111111111"))


def test_an_instance_and_what_is_attached_to_it_may_come_in_any_order(store: Store) -> None:
    with store.writing() as tx:
        tx.volumes.add(made.volume(instance_id="i-00000001", device="/dev/sda1"))
        tx.interfaces.add(made.interface(instance_id="i-00000001"))
        tx.instances.add(made.instance())
    with store.writing() as tx:
        tx.instances.remove("i-00000001")
        tx.volumes.remove("vol-00000001")
        tx.interfaces.remove("eni-00000001")
    with store.reading() as tx:
        assert tx.volumes.find(Query()).items == []


def test_nothing_may_stay_attached_to_an_instance_that_is_not_there(store: Store) -> None:
    with pytest.raises(StoreBroken) as refused, store.writing() as tx:
        tx.volumes.add(made.volume(instance_id="i-00000001", device="/dev/sda1"))
    assert "volumes" in refused.value.hidden
    with store.writing() as tx:
        assert tx.volumes.get("vol-00000001") is None


def test_a_security_group_in_use_stays(store: Store) -> None:
    with store.writing() as tx:
        tx.interfaces.add(made.interface())
        with pytest.raises(Taken, match="foreign key"):
            tx.security_groups.remove("sg-00000001")
        assert tx.security_groups.get("sg-00000001") is not None


def test_a_moment_without_a_zone_is_a_mistake(store: Store) -> None:
    with store.writing() as tx, pytest.raises(ValueError, match="time zone"):
        tx.volumes.add(made.volume(created_at=NOW.replace(tzinfo=None)))


# --- instances


def test_those_with_work_to_do_wait_oldest_first(store: Store) -> None:
    rows = [
        made.instance("i-00000001", launched_at=later(3)),
        made.instance("i-00000002", state=InstanceState.RUNNING),
        made.instance("i-00000003", state=InstanceState.RUNNING, reboots_asked=1, asked_at=NOW),
        made.instance("i-00000004", launched_at=later(1), retry_at=later(60)),
        made.instance("i-00000005", launched_at=later(2), retry_at=later(10)),
        made.instance("i-00000006", state=InstanceState.STOPPED),
        made.instance("i-00000007", state=InstanceState.TERMINATED),
        made.instance("i-00000008", state=InstanceState.STOPPING, asked_at=later(5)),
    ]
    with store.writing() as tx:
        for row in rows:
            tx.instances.add(row)
    with store.reading() as tx:
        waiting = [row.id for row in tx.instances.waiting()]
        assert waiting == ["i-00000003", "i-00000004", "i-00000005", "i-00000001", "i-00000008"]


def test_saving_settles_and_unsettles(store: Store) -> None:
    with store.writing() as tx:
        tx.instances.add(made.instance())
        row = tx.instances.save(made.instance(state=InstanceState.RUNNING))
        assert tx.instances.waiting() == []
        row = tx.instances.save(replace(row, reboots_asked=1))
        assert tx.instances.waiting() == [row]


def test_live_are_all_but_the_terminated(store: Store) -> None:
    with store.writing() as tx:
        for number, state in enumerate(InstanceState, 1):
            tx.instances.add(made.instance(f"i-0000000{number}", state=state))
    with store.reading() as tx:
        assert {row.state for row in tx.instances.live()} == {*InstanceState} - {
            InstanceState.TERMINATED
        }


def test_terminated_before_a_moment(store: Store) -> None:
    with store.writing() as tx:
        for number, at in ((1, later(5)), (2, later(1)), (3, later(10))):
            row = made.instance(
                f"i-0000000{number}", state=InstanceState.TERMINATED, terminated_at=at
            )
            tx.instances.add(row)
        tx.instances.add(made.instance("i-00000004"))
    with store.reading() as tx:
        assert tx.instances.terminated_before(later(10)) == ["i-00000002", "i-00000001"]


def test_who_has_an_address_now(store: Store) -> None:
    with store.writing() as tx:
        made.launch(tx)
        made.launch(tx, "i-00000002", state=InstanceState.TERMINATED)
    with store.reading() as tx:
        row = tx.instances.at("vpc-00000001", "172.31.0.1")
        assert row is not None
        assert row == tx.instances.get("i-00000001")
        assert row.private_ip == "172.31.0.1"
        assert tx.instances.at("vpc-00000001", "172.31.0.2") is None
        assert tx.instances.at("vpc-00000002", "172.31.0.1") is None


# --- accounts, keys, tokens, ids


def test_accounts_are_found_by_number_and_name_and_listed_as_made(store: Store) -> None:
    with store.writing() as tx:
        last = replace(made.account("000000000001", "Zoë"), created_at=later(1))
        tx.accounts.add(last)
        tx.accounts.save(replace(last, enabled=False))
        assert tx.accounts.get(HELEN) == tx.accounts.named("helen") == made.account()
        assert tx.accounts.get("000000000002") is None
        assert tx.accounts.named("zoë") is None
        assert tx.accounts.named("Zoë") == replace(last, enabled=False)
        assert tx.accounts.all()[-1].name == "Zoë"
        assert len(tx.accounts.all()) == 3
        with pytest.raises(Stale):
            tx.accounts.save(made.account("000000000002", "nobody"))


def test_access_keys_keep_their_secrets_in_order(store: Store) -> None:
    key = made.access_key("helen", secrets=("aß", "b", ""), enabled=False)
    with store.writing() as tx:
        tx.access_keys.add(key)
        tx.access_keys.add(made.access_key("k2", JOHN))
        tx.access_keys.add(replace(made.access_key("k1"), created_at=later(1)))
    with store.reading() as tx:
        assert tx.access_keys.get("helen") == key
        assert tx.access_keys.get("HELEN") is None
        assert [k.access_key for k in tx.access_keys.of(HELEN)] == ["helen", "k1"]
        assert tx.access_keys.of("000000000009") == []


def test_an_access_key_can_be_disabled_changed_and_removed(store: Store) -> None:
    key = made.access_key()
    with store.writing() as tx:
        tx.access_keys.add(key)
        assert tx.access_keys.get(key.access_key) == key
        for changed in (
            replace(key, enabled=False),
            replace(key, secrets=made.access_key(secrets=("new",)).secrets),
        ):
            tx.access_keys.save(changed)
            assert tx.access_keys.get(key.access_key) == changed
        for _ in range(2):
            tx.access_keys.remove(key.access_key)
        assert tx.access_keys.get(key.access_key) is None
        with pytest.raises(Stale):
            tx.access_keys.save(key)


def test_a_token_remembers_its_answer_until_it_is_forgotten(store: Store) -> None:
    answered = Answered("digest", b"<xml/>\x00\xff")
    with store.writing() as tx:
        tx.tokens.put(HELEN, "RunInstances", "t", answered, NOW)
        tx.tokens.put(HELEN, "RunInstances", "u", answered, later(1))
    with store.writing() as tx:
        assert tx.tokens.get(HELEN, "RunInstances", "t") == answered
        for other in ((JOHN, "RunInstances", "t"), (HELEN, "X", "t"), (HELEN, "RunInstances", "T")):
            assert tx.tokens.get(*other) is None
        assert tx.tokens.forget_before(later(1)) == 1
        assert tx.tokens.get(HELEN, "RunInstances", "t") is None
        assert tx.tokens.get(HELEN, "RunInstances", "u") == answered


def test_ids_go_up_from_one_for_each_prefix(store: Store) -> None:
    with store.writing() as tx:
        assert list(tx.next_ids("i")) == ["i-00000001"]
        assert list(tx.next_ids("i", 3)) == ["i-00000002", "i-00000003", "i-00000004"]
        assert list(tx.next_ids("eni-attach")) == ["eni-attach-00000001"]
        assert list(tx.next_ids("i", 0)) == []


def test_an_id_is_not_given_again_after_a_delete_or_a_restart(
    store: Store, opening: Callable[[], Store]
) -> None:
    with store.writing() as tx:
        (row_id,) = tx.next_ids("vol")
        tx.volumes.add(made.volume(row_id))
    with store.writing() as tx:
        tx.volumes.remove(row_id)
    store.close()
    with opening().writing() as tx:
        assert list(tx.next_ids("vol")) == ["vol-00000002"]
