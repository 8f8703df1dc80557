"""What every store finds: domain/queries.py."""

from collections.abc import Iterable
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.contract.store import made
from tests.contract.store.conftest import Stand
from tests.contract.store.made import HELEN, JOHN, NOW, later

from econe.domain.instances import InstanceState, MetadataOptions
from econe.domain.ports import Rows, Store, Transaction
from econe.domain.queries import Criterion, Query
from econe.domain.reasons import Reason
from econe.domain.tags import Tag
from econe.domain.volumes import VolumeState


def where(field: str, *patterns: str) -> Criterion:
    return Criterion(field, patterns)


def ids(rows: Rows, query: Query) -> list[str]:  # type: ignore[type-arg]
    """Of what find answers, which keys must answer too."""
    page, keys = rows.find(query), rows.keys(query)
    assert [(row.id, row.version) for row in page.items] == [
        (key.id, key.version) for key in keys.items
    ]
    assert page.more == keys.more
    return [row.id for row in page.items]


def names(store: Store, *criteria: Criterion, **query: object) -> str:
    """The last digits of the instances found, in order."""
    with store.reading() as tx:
        asked = Query(**{"account": HELEN, **query}, criteria=criteria)  # type: ignore[arg-type]
        return "".join(row_id[-1] for row_id in ids(tx.instances, asked))


@pytest.fixture
def fleet(store: Store) -> Store:
    """Instances 1 to 5 of helen and 6 of john."""
    with store.writing() as tx:
        made.launch(tx, "i-00000001", state=InstanceState.RUNNING)
        made.launch(tx, "i-00000002", key_name="mykey", forced=True, launched_at=later(61))
        made.launch(tx, "i-00000003", launch_index=10, state=InstanceState.RUNNING)
        made.launch(
            tx,
            "i-00000004",
            metadata_options=MetadataOptions(hop_limit=10),
            state_reason=Reason("Server.InternalError", "x"),
        )
        made.launch(tx, "i-00000005", reservation_id="r-00000002", key_name="MyKey")
        tx.instances.add(made.instance("i-00000006", account=JOHN))
        for row_id, tags in {
            "i-00000001": {"Name": "web", "Env": "prod"},
            "i-00000002": {"Name": "web 2", "Env": "test"},
            "i-00000003": {"Name": "db*", "Owner": ""},
            "i-00000006": {"Name": "web"},
        }.items():
            owner = JOHN if row_id == "i-00000006" else HELEN
            tx.tags.put(owner, row_id, "instance", tags)
        tx.tags.put(HELEN, "vol-00000004", "volume", {"Name": "web"})
    return store


@pytest.mark.parametrize(
    ("found", "criteria"),
    [
        ("12345", []),
        ("13", [where("state", "running")]),
        ("1234", [where("reservation_id", "r-00000001")]),
        ("2", [where("key_name", "mykey")]),
        ("25", [where("key_name", "mykey", "MyKey")]),
        ("25", [where("key_name", "?y?ey")]),
        ("25", [where("key_name", "*")]),
        ("3", [where("launch_index", "10")]),
        ("3", [where("launch_index", "1*")]),
        ("", [where("launch_index", "010")]),
        ("2", [where("forced", "true")]),
        ("1345", [where("forced", "f*")]),
        ("", [where("forced", "1")]),
        ("4", [where("metadata_options.hop_limit", "10")]),
        ("4", [where("state_reason.code", "Server.*")]),
        ("1235", [where("state_reason.code", "")]),
        ("2", [where("launched_at", "2026-11-23T16:01:01.000Z")]),
        ("12345", [where("launched_at", "2026-11-23T*")]),
        ("", [where("asked_at", "*")]),
        ("3", [where("id", "i-00000003")]),
        ("12345", [where("id", "i-*")]),
        ("1", [where("tag:Name", "web")]),
        ("12", [where("tag:Name", "web*")]),
        ("13", [where("tag:Name", "web", "db\\*")]),
        ("3", [where("tag:Name", "db\\*")]),
        ("", [where("tag:Name", "WEB")]),
        ("", [where("tag:name", "web")]),
        ("3", [where("tag:Owner", "")]),
        ("1", [where("tag:Name", "web*"), where("tag:Env", "prod")]),
        ("1", [where("tag:Env", "prod"), where("state", "running")]),
        ("12", [where("tag-key", "Env")]),
        ("123", [where("tag-key", "Env", "Name")]),
        ("123", [where("tag-key", "N?me")]),
        ("1", [where("tag-value", "prod")]),
        ("12", [where("tag-value", "prod", "web ?")]),
        ("1", [where("tag-key", "Env"), where("tag-value", "web")]),
        ("4", [where("private_ip", "172.31.0.4")]),
        ("12345", [where("private_ip", "172.31.*")]),
        ("2", [where("interfaces.mac", "02:00:00:00:00:02")]),
        ("12345", [where("interfaces.groups.name", "default")]),
        ("", [where("interfaces.groups.id", "sg-00000002")]),
        ("5", [where("volumes.id", "vol-00000005")]),
        ("12345", [where("volumes.device", "/dev/sda1")]),
        ("", [where("state")]),
        ("", [where("tag:Name")]),
    ],
)
def test_instances_are_found(fleet: Store, found: str, criteria: list[Criterion]) -> None:
    assert names(fleet, *criteria) == found


def test_ids_after_and_limit_hold_together_with_criteria(fleet: Store) -> None:
    some = ("i-00000005", "i-00000003", "i-00000001", "i-00000006", "i-99999999")
    assert names(fleet, ids=some) == "135"
    assert names(fleet, ids=()) == ""
    assert names(fleet, where("state", "running"), ids=some) == "13"
    assert names(fleet, where("tag:Name", "web"), ids=some) == "1"
    assert names(fleet, ids=some, after="i-00000001") == "35"
    assert names(fleet, where("state", "running"), after="i-00000001") == "3"
    assert names(fleet, where("tag:Name", "web"), after="i-00000001") == ""
    assert names(fleet, limit=2) == "12"
    assert names(fleet, where("tag-key", "Name"), limit=2) == "12"
    assert names(fleet, account=None) == "123456"
    assert names(fleet, where("tag:Name", "web"), account=None) == "16"


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("criteria", [(), (where("tag:Env", "prod", "test"),)])
def test_pages_put_together_are_the_whole(
    fleet: Store, limit: int, criteria: tuple[Criterion, ...]
) -> None:
    whole = names(fleet, *criteria)
    pages, after, more = "", None, True
    with fleet.reading() as tx:
        while more:
            page = tx.instances.keys(
                Query(account=HELEN, criteria=criteria, after=after, limit=limit)
            )
            assert len(page.items) <= limit
            pages += "".join(key.id[-1] for key in page.items)
            after, more = page.items[-1].id, page.more
    assert pages == whole


def test_an_unknown_field_is_a_mistake_of_the_program(fleet: Store) -> None:
    with fleet.reading() as tx:
        for field in ("nothing", "user_data", "tags", "interfaces", "volumes.x", "'; --"):
            with pytest.raises(ValueError, match="search"):
                tx.instances.find(Query(criteria=(where(field, "x"),)))


def test_a_viewer_sees_its_own_images_and_public_ones(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(made.image("ami-00000001"))
        tx.images.add(made.image("ami-00000002", public=True))
        tx.images.add(made.image("ami-00000003", account=JOHN))
        tx.images.add(made.image("ami-00000004", account=JOHN, public=True, registered=False))
        for row_id, owner in (("ami-00000001", HELEN), ("ami-00000004", JOHN)):
            tx.tags.put(owner, row_id, "image", {"Name": "x"})

    def seen(*criteria: Criterion, **query: object) -> str:
        with store.reading() as tx:
            asked = Query(**query, criteria=criteria)  # type: ignore[arg-type]
            return "".join(row_id[-1] for row_id in ids(tx.images, asked))

    assert seen(viewer=HELEN) == "124"
    assert seen(viewer=JOHN) == "234"
    assert seen(viewer=HELEN, limit=2) == "12"
    assert seen(viewer=HELEN, after="ami-00000001", limit=5) == "24"
    assert seen(viewer=HELEN, ids=("ami-00000003", "ami-00000004")) == "4"
    assert seen(where("registered", "true"), viewer=HELEN) == "12"
    assert seen(where("public", "true"), viewer=HELEN) == "24"
    assert seen(where("account", JOHN), viewer=HELEN) == "4"
    assert seen(where("tag:Name", "x"), viewer=HELEN) == "14"
    assert seen(where("tag:Name", "*"), viewer=HELEN) == "14"
    assert seen(viewer=HELEN, account=JOHN) == "4"
    assert seen(viewer=HELEN, account=HELEN) == "12"


def test_other_nouns_are_found_by_their_fields(store: Store) -> None:
    with store.writing() as tx:
        made.launch(tx)
        tx.volumes.add(made.volume("vol-00000002", size_gib=100))
        tx.interfaces.add(made.interface("eni-00000002", groups=()))

    with store.reading() as tx:

        def one(rows: Rows, *criteria: Criterion) -> list[str]:  # type: ignore[type-arg]
            return ids(rows, Query(account=HELEN, criteria=criteria))

        assert one(tx.volumes, where("instance_id", "i-00000001")) == ["vol-00000001"]
        assert one(tx.volumes, where("instance_id", "*")) == ["vol-00000001"]
        assert one(tx.volumes, where("size_gib", "100")) == ["vol-00000002"]
        assert one(tx.volumes, where("state", VolumeState.IN_USE)) == ["vol-00000001"]
        assert one(tx.interfaces, where("groups.id", "sg-00000001")) == ["eni-00000001"]
        assert one(tx.interfaces, where("private_ip", "172.31.0.2")) == ["eni-00000002"]
        assert one(tx.vpcs, where("is_default", "true")) == ["vpc-00000001"]
        assert one(tx.subnets, where("vpc_id", "vpc-00000001")) == ["subnet-00000001"]
        assert one(tx.security_groups, where("name", "default")) == ["sg-00000001"]


# --- tags


def tags_found(store: Store, *criteria: Criterion, **query: object) -> list[str]:
    with store.reading() as tx:
        asked = Query(**{"account": HELEN, **query}, criteria=criteria)  # type: ignore[arg-type]
        return [f"{tag.resource_id[-1]} {tag.key}" for tag in tx.tags.find(asked).items]


def test_tags_are_found(fleet: Store) -> None:
    all_ = ["1 Env", "1 Name", "2 Env", "2 Name", "3 Name", "3 Owner", "4 Name"]
    assert tags_found(fleet) == all_
    assert tags_found(fleet, where("resource_id", "i-00000001")) == ["1 Env", "1 Name"]
    assert tags_found(fleet, where("resource_type", "volume")) == ["4 Name"]
    assert tags_found(fleet, where("key", "Name"), where("value", "web")) == ["1 Name", "4 Name"]
    assert tags_found(fleet, where("key", "N*")) == ["1 Name", "2 Name", "3 Name", "4 Name"]
    assert tags_found(fleet, where("value", "prod", "")) == ["1 Env", "3 Owner"]
    assert tags_found(fleet, ids=("i-00000003",)) == ["3 Name", "3 Owner"]
    assert tags_found(fleet, account=JOHN) == ["6 Name"]
    assert len(tags_found(fleet, account=None)) == 8
    with fleet.reading() as tx:
        first = tx.tags.find(Query(account=HELEN, limit=1))
        assert first.items == [Tag("i-00000001", "instance", "Env", "prod")]
        assert first.more
        with pytest.raises(ValueError, match="search"):
            tx.tags.find(Query(criteria=(where("account", HELEN),)))


@pytest.mark.parametrize("criteria", [(), (where("key", "Name"),), (where("key", "N*"),)])
def test_pages_of_tags_put_together_are_the_whole(
    fleet: Store, criteria: tuple[Criterion, ...]
) -> None:
    found, after, more = [], None, True
    with fleet.reading() as tx:
        while more:
            page = tx.tags.find(Query(account=HELEN, criteria=criteria, after=after, limit=2))
            found += [f"{tag.resource_id[-1]} {tag.key}" for tag in page.items]
            after, more = f"{page.items[-1].resource_id}\0{page.items[-1].key}", page.more
    assert found == tags_found(fleet, *criteria)


def test_tags_are_put_given_new_values_and_dropped(store: Store) -> None:
    with store.writing() as tx:
        tx.tags.put(HELEN, "x", "vpc", {"b": "1", "a": "<&>\U0001f600 '\"", " ": "  "})
        tx.tags.put(HELEN, "x", "vpc", {"b": "2"})
        tx.tags.drop("x", " ", "other value")
        assert tx.tags.of("x") == {" ": "  ", "a": "<&>\U0001f600 '\"", "b": "2"}
        tx.tags.drop("x", " ", "  ")
        tx.tags.drop("x", "a")
        tx.tags.drop("x", "a")
        assert tx.tags.of("x") == {"b": "2"}


# --- wildcards


def like(pattern: str, text: str) -> bool:
    """EC2's rule, written as plainly as can be."""

    @cache
    def fits(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        sign = pattern[p]
        if sign == "*":
            return fits(p + 1, t) or (t < len(text) and fits(p, t + 1))
        if t == len(text):
            return False
        if sign == "\\" and p + 1 < len(pattern):
            return text[t] == pattern[p + 1] and fits(p + 2, t + 1)
        return (sign == "?" or sign == text[t]) and fits(p + 1, t + 1)

    return fits(0, 0)


TEXT = st.text(
    st.one_of(
        st.sampled_from("ab*?\\[]^-'%_ \n"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def kept(stand: Stand, tmp_path_factory: pytest.TempPathFactory) -> Iterable[Store]:
    """One store for all examples: making one takes longer than asking it."""
    store = stand(tmp_path_factory.mktemp("wildcards"))
    with store.writing() as tx:
        made.found(tx)
        tx.images.add(made.image())
    yield store
    store.close()


def check_like(tx: Transaction, patterns: list[str], text: str) -> None:
    expected = any(like(pattern, text) for pattern in patterns)
    tx.tags.put(HELEN, "ami-00000001", "image", {"k": text})
    tx.images.save(
        made.image(description=text, version=tx.images.many(["ami-00000001"])[0].version)
    )
    for criterion in (
        Criterion("tag:k", tuple(patterns)),
        Criterion("tag-value", tuple(patterns)),
        Criterion("description", tuple(patterns)),
    ):
        for query in (
            Query(account=HELEN, criteria=(criterion,)),
            Query(ids=("ami-00000001",), criteria=(criterion,)),
        ):
            assert bool(tx.images.keys(query).items) == expected, criterion
    value = Criterion("value", tuple(patterns))
    assert bool(tx.tags.find(Query(account=HELEN, criteria=(value,))).items) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=3), TEXT)
@example(["\\"], "\\")
@example(["a\\"], "a\\")
@example(["[a-c]"], "b")
@example(["[a-c]*"], "[a-c]x")
@example(["\\[*\\]"], "[x]")
@example(["a?b"], "a\U0001f600b")
@example(["a**b"], "ab")
@example(["\\**"], "*x")
@example(["", "*"], "")
def test_wildcards_match_as_the_plain_rule_does(
    kept: Store, patterns: list[str], text: str
) -> None:
    with kept.writing() as tx:
        check_like(tx, patterns, text)
        tx.undo()


@settings(max_examples=100, deadline=None)
@given(TEXT, st.data())
def test_a_pattern_made_of_the_text_matches_it(kept: Store, text: str, data: st.DataObject) -> None:
    pattern = ""
    for sign in text:
        pattern += data.draw(
            st.sampled_from(["*", "?", "\\" + sign, "*\\" + sign, "\\" + sign + "*"])
        )
    assert like(pattern, text)
    with kept.writing() as tx:
        check_like(tx, [pattern], text)
        tx.undo()


def test_a_huge_pattern_is_answered(fleet: Store) -> None:
    """60,000 signs: more than SQLite's GLOB takes."""
    assert names(fleet, where("key_name", "*" * 60_000)) == "25"
    assert names(fleet, where("key_name", "?" * 60_000)) == ""
    assert names(fleet, where("key_name", "a?" * 30_000, "my*")) == "2"
    assert names(fleet, where("tag:Name", *[f"no{n}*" for n in range(2_000)], "web")) == "1"
    assert names(fleet, where("id", *[f"i-{n:08d}" for n in range(2_000)])) == "12345"


def test_a_hard_pattern_does_not_take_exponential_time(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(made.image(description="a" * 250))
    with store.reading() as tx:
        hard = Criterion("description", ("*a" * 100 + "*b",))
        assert tx.images.keys(Query(account=HELEN, criteria=(hard,))).items == []


def test_moments_are_compared_as_answers_show_them(store: Store) -> None:
    with store.writing() as tx:
        tx.images.add(made.image())
        assert NOW.microsecond == 123456
    with store.reading() as tx:
        for pattern, found in (("*:00.000Z", True), ("*.123*", False)):
            query = Query(criteria=(where("created_at", pattern),))
            assert bool(tx.images.keys(query).items) is found
