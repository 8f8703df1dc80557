"""The rows of one noun, and what instances and interfaces add to that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy import func as sql

from econe.domain.images import Image
from econe.domain.instances import Instance, InstanceState
from econe.domain.keypairs import KeyPair
from econe.domain.launch_templates import LaunchTemplate
from econe.domain.networks import NetworkInterface, SecurityGroup, Subnet, Vpc
from econe.domain.ports import Known, Stale, Usage
from econe.domain.queries import Key, Page, Query
from econe.domain.volumes import Volume
from econe.store import criteria, tables
from econe.store.criteria import Leave, Noun, NounPart, TablePart
from econe.store.mapping import Mapper, write_moment
from econe.store.statements import DIALECT, Session, Statement


class _Versioned(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


Row = TypeVar("Row", bound=_Versioned)

IMAGES: Final = Noun(Mapper(Image, tables.images), "image", parts={"executable_by": Leave()})
KEY_PAIRS: Final = Noun(Mapper(KeyPair, tables.key_pairs), "key-pair")
LAUNCH_TEMPLATES: Final = Noun(Mapper(LaunchTemplate, tables.launch_templates), "launch-template")
VPCS: Final = Noun(Mapper(Vpc, tables.vpcs), "vpc")
SUBNETS: Final = Noun(Mapper(Subnet, tables.subnets), "subnet")
SECURITY_GROUPS: Final = Noun(Mapper(SecurityGroup, tables.security_groups), "security-group")
VOLUMES: Final = Noun(
    Mapper(Volume, tables.volumes), "volume", leads=frozenset({"id", "instance_id"})
)
INTERFACES: Final = Noun(
    Mapper(NetworkInterface, tables.interfaces),
    "network-interface",
    parts={"groups": TablePart(tables.interface_groups, "interface_id")},
    leads=frozenset({"id", "instance_id", "mac", "private_ip"}),
)
INSTANCES: Final = Noun(
    Mapper(Instance, tables.instances),
    "instance",
    parts={
        "interfaces": NounPart(INTERFACES, "instance_id"),
        "volumes": NounPart(VOLUMES, "instance_id"),
    },
    aliases={"private_ip": "interfaces.private_ip"},
    group="reservation_id",
    leads=frozenset({"id", "private_ip", "interfaces.private_ip", "interfaces.id", "volumes.id"}),
)

VERSIONED: Final = tuple(
    (noun.resource_type, noun.table.name)
    for noun in (
        IMAGES,
        KEY_PAIRS,
        LAUNCH_TEMPLATES,
        VPCS,
        SUBNETS,
        SECURITY_GROUPS,
        VOLUMES,
        INTERFACES,
        INSTANCES,
    )
)
"""(resource type, table): tags on the one raise the version of the other."""

_TAGS_OF: Final = Statement(
    select(tables.tags.c.resource_id, tables.tags.c.key, tables.tags.c.value)
    .where(DIALECT.one_of(tables.tags.c.resource_id, "ids"))
    .order_by(tables.tags.c.resource_id, tables.tags.c.key)
)
_DROP_TAGS: Final = Statement(
    delete(tables.tags).where(tables.tags.c.resource_id == bindparam("row_id"))
)


def _loading(noun: Noun[Any]) -> Select[Any]:
    return select(*noun.mapper.columns)


@lru_cache
def _by_ids(table: Table, noun: Noun[Any]) -> Statement:
    return Statement(_loading(noun).where(DIALECT.one_of(table.c.id, "ids")))


@lru_cache
def _by_owner(noun: Noun[Any], owner: str, order: str) -> Statement:
    table = noun.table
    return Statement(
        _loading(noun)
        .where(DIALECT.one_of(table.c[owner], "ids"))
        .order_by(table.c[owner], table.c[order], table.c.id)
    )


@lru_cache
def _inserting(table: Table) -> Statement:
    return Statement(insert(table), [column.name for column in table.c])


@lru_cache
def _updating(table: Table) -> Statement:
    """Over the version that was read; identity and account never change."""
    columns = [column.name for column in table.c if column.name not in ("id", "account")]
    return Statement(
        update(table).where(
            table.c.id == bindparam("row_id"), table.c.version == bindparam("read_at")
        ),
        columns,
    )


@lru_cache
def _deleting(table: Table) -> Statement:
    return Statement(delete(table).where(table.c.id == bindparam("row_id")))


class TableRows(Generic[Row]):
    """Implements domain.ports.Rows."""

    def __init__(self, session: Session, noun: Noun[Row]) -> None:
        self._session, self._noun = session, noun

    def get(self, row_id: str) -> Row | None:
        found = self.many((row_id,))
        return found[0] if found else None

    def many(self, ids: Iterable[str]) -> list[Row]:
        asked = list(ids)
        if not asked:
            return []
        statement = _by_ids(self._noun.table, self._noun)
        rows = self._session.rows(statement, {"ids": DIALECT.many(asked)})
        found = {row.id: row for row in self._whole(rows)}
        return [found[row_id] for row_id in asked if row_id in found]

    def find(self, query: Query) -> Page[Row]:
        keys, more = self._listed(query)
        return Page(self.many(key[0] for key in keys), more)

    def keys(self, query: Query) -> Page[Key]:
        keys, more = self._listed(query)
        return Page(list(map(Key._make, keys)), more)

    def add(self, row: Row) -> None:
        self._session.run(_inserting(self._noun.table), self._values(row))

    def add_all(self, rows: Sequence[Row]) -> None:
        self._session.run_all(_inserting(self._noun.table), [self._values(row) for row in rows])

    def save(self, row: Row) -> Row:
        values = self._values(row)
        values.update(row_id=row.id, read_at=row.version, version=row.version + 1)
        done = self._session.run(_updating(self._noun.table), values)
        if done.rowcount != 1:
            raise Stale(f"{row.id} is no longer at version {row.version}")
        return replace(row, version=row.version + 1)  # type: ignore[type-var]

    def remove(self, row_id: str) -> None:
        self._session.run(_DROP_TAGS, {"row_id": row_id})
        self._session.run(_deleting(self._noun.table), {"row_id": row_id})

    def _listed(self, query: Query) -> tuple[Sequence[tuple[Any, ...]], bool]:
        """(id, version, group) of what fits, and whether more follows."""
        shape, given = criteria.read_query(query)
        rows = self._session.rows(criteria.listing(self._noun, shape), given)
        if query.limit is not None and len(rows) > query.limit:
            return rows[: query.limit], True
        return rows, False

    def _values(self, row: Row) -> dict[str, Any]:
        return self._noun.mapper.values(row)

    def _whole(self, rows: Sequence[tuple[Any, ...]]) -> list[Row]:
        """The dataclasses, with what lies in other tables."""
        ids = [row[0] for row in rows]  # the id is every noun's first field
        parts = self._parts(ids)
        return [self._noun.mapper.row(row, parts[row[0]]) for row in rows]

    def _parts(self, ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        """Id -> the fields that have rows of their own."""
        made: dict[str, dict[str, Any]] = {row_id: {"tags": {}} for row_id in ids}
        if ids:
            for row_id, key, value in self._session.rows(_TAGS_OF, {"ids": DIALECT.many(ids)}):
                made[row_id]["tags"][key] = value
        return made

    def belonging_to(self, owners: Sequence[str], order: str) -> list[Row]:
        """All rows whose `instance_id` is among `owners`, by owner and then by `order`."""
        statement = _by_owner(self._noun, "instance_id", order)
        return self._whole(self._session.rows(statement, {"ids": DIALECT.many(owners)}))


_GROUPS_OF: Final = Statement(
    select(*tables.interface_groups.c)
    .where(DIALECT.one_of(tables.interface_groups.c.interface_id, "ids"))
    .order_by(tables.interface_groups.c.id)
)
_DROP_GROUPS: Final = Statement(
    delete(tables.interface_groups).where(
        tables.interface_groups.c.interface_id == bindparam("row_id")
    )
)


_TOTAL_GIB: Final = Statement(
    select(sql.coalesce(sql.sum(tables.volumes.c.size_gib), 0)).where(
        tables.volumes.c.account == bindparam("account")
    )
)


class VolumeRows(TableRows[Volume]):
    """Implements domain.ports.Volumes."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, VOLUMES)

    def total_gib(self, account: str) -> int:
        total: int = self._session.row(_TOTAL_GIB, {"account": account})[0]
        return total


class InterfaceRows(TableRows[NetworkInterface]):
    """Interfaces, with their groups. Groups change only together with their interface's row,
    whose new version therefore covers them."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, INTERFACES)

    def add(self, row: NetworkInterface) -> None:
        super().add(row)
        self._add_groups([row])

    def add_all(self, rows: Sequence[NetworkInterface]) -> None:
        super().add_all(rows)
        self._add_groups(rows)

    def save(self, row: NetworkInterface) -> NetworkInterface:
        saved = super().save(row)
        self._session.run(_DROP_GROUPS, {"row_id": row.id})
        self._add_groups([row])
        return saved

    def _add_groups(self, rows: Sequence[NetworkInterface]) -> None:
        given = [
            {"interface_id": row.id, "id": group_id, "name": name}
            for row in rows
            for group_id, name in row.groups
        ]
        self._session.run_all(_inserting(tables.interface_groups), given)

    def _parts(self, ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        made = super()._parts(ids)
        groups: dict[str, list[tuple[str, str]]] = {row_id: [] for row_id in ids}
        if ids:
            given = {"ids": DIALECT.many(ids)}
            for row_id, group_id, name in self._session.rows(_GROUPS_OF, given):
                groups[row_id].append((group_id, name))
        for row_id, fields in made.items():
            fields["groups"] = tuple(groups[row_id])
        return made


_SHARES_OF: Final = Statement(
    select(*tables.image_shares.c)
    .where(DIALECT.one_of(tables.image_shares.c.image_id, "ids"))
    .order_by(tables.image_shares.c.grantee)
)
_DROP_SHARES: Final = Statement(
    delete(tables.image_shares).where(tables.image_shares.c.image_id == bindparam("row_id"))
)


class ImageRows(TableRows[Image]):
    """Images, with those whom they are shared with: as InterfaceRows has groups."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, IMAGES)

    def add(self, row: Image) -> None:
        super().add(row)
        self._add_shares(row)

    def add_all(self, rows: Sequence[Image]) -> None:
        super().add_all(rows)
        for row in rows:
            self._add_shares(row)

    def save(self, row: Image) -> Image:
        saved = super().save(row)
        self._session.run(_DROP_SHARES, {"row_id": row.id})
        self._add_shares(row)
        return saved

    def _add_shares(self, row: Image) -> None:
        for grantee in row.shares:
            given = {"image_id": row.id, "grantee": grantee}
            self._session.run(_inserting(tables.image_shares), given)

    def _parts(self, ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        made = super()._parts(ids)
        shares: dict[str, list[str]] = {row_id: [] for row_id in ids}
        if ids:
            for row_id, grantee in self._session.rows(_SHARES_OF, {"ids": DIALECT.many(ids)}):
                shares[row_id].append(grantee)
        for row_id, fields in made.items():
            fields["shares"] = tuple(shares[row_id])
        return made


_I: Final = tables.instances.c
_OLDEST_FIRST: Final[tuple[ColumnElement[Any], ...]] = (
    sql.coalesce(_I.asked_at, _I.launched_at),
    _I.id,
)
_TERMINATED: Final = InstanceState.TERMINATED.value


# Partial indexes are found only by literals in the text, not by parameters.
_WAITING: Final = Statement(
    _loading(INSTANCES).where(_I.settled == literal_column("0")).order_by(*_OLDEST_FIRST)
)
_NOT_TERMINATED: Final = _I.state != literal_column(f"'{_TERMINATED}'")
_LIVE: Final = Statement(_loading(INSTANCES).where(_NOT_TERMINATED).order_by(_I.id))
_TERMINATED_BEFORE: Final = Statement(
    select(_I.id)
    .where(_I.state == literal_column(f"'{_TERMINATED}'"), _I.terminated_at < bindparam("moment"))
    .order_by(_I.terminated_at, _I.id)
)
_OF_RESERVATION: Final = Statement(
    select(_I.id)
    .where(_I.reservation_id == bindparam("reservation_id"))
    .order_by(_I.launch_index, _I.id)
)
_KNOWN: Final = Statement(
    select(_I.engine_ref, _I.id, _I.account).where(
        _NOT_TERMINATED, _I.engine_ref != literal_column("''")
    )
)
_USAGE: Final = Statement(
    select(
        sql.count(),
        sql.coalesce(sql.sum(_I.vcpus), 0),
        sql.coalesce(sql.sum(_I.memory_mib), 0),
    ).where(_I.account == bindparam("account"), _NOT_TERMINATED)
)
_NOT_STOPPED: Final = _I.state != literal_column(f"'{InstanceState.STOPPED.value}'")
_USAGE_ON: Final = Statement(
    select(
        sql.count(),
        sql.coalesce(sql.sum(_I.vcpus), 0),
        sql.coalesce(sql.sum(_I.memory_mib), 0),
    ).where(_I.account == bindparam("account"), _NOT_TERMINATED, _NOT_STOPPED)
)
_LOAD: Final = Statement(
    select(
        sql.count(),
        sql.coalesce(sql.sum(_I.vcpus), 0),
        sql.coalesce(sql.sum(_I.memory_mib), 0),
    ).where(_NOT_TERMINATED, _NOT_STOPPED)
)
_AT: Final = Statement(
    select(_I.id)
    .join(tables.interfaces, tables.interfaces.c.instance_id == _I.id)
    .where(
        tables.interfaces.c.private_ip == bindparam("private_ip"),
        tables.interfaces.c.vpc_id == bindparam("vpc_id"),
        _NOT_TERMINATED,
    )
)


class InstanceRows(TableRows[Instance]):
    """Implements domain.ports.Instances."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, INSTANCES)

    def waiting(self) -> list[Instance]:
        return self._whole(self._session.rows(_WAITING))

    def live(self) -> list[Instance]:
        return self._whole(self._session.rows(_LIVE))

    def terminated_before(self, moment: datetime) -> list[str]:
        rows = self._session.rows(_TERMINATED_BEFORE, {"moment": write_moment(moment)})
        return [row[0] for row in rows]

    def of_reservation(self, reservation_id: str) -> list[Instance]:
        found = self._session.rows(_OF_RESERVATION, {"reservation_id": reservation_id})
        return self.many(row[0] for row in found)

    def known(self) -> dict[str, Known]:
        rows = self._session.rows(_KNOWN)
        return {ref: Known(row_id, account) for ref, row_id, account in rows}

    def usage(self, account: str, *, on: bool = False) -> Usage:
        counted = _USAGE_ON if on else _USAGE
        return Usage(*self._session.row(counted, {"account": account}))

    def load(self) -> Usage:
        return Usage(*self._session.row(_LOAD))

    def at(self, vpc_id: str, private_ip: str) -> Instance | None:
        found = self._session.row(_AT, {"vpc_id": vpc_id, "private_ip": private_ip})
        return self.get(found[0]) if found else None

    def _values(self, row: Instance) -> dict[str, Any]:
        return {**super()._values(row), "settled": int(row.settled)}

    def _parts(self, ids: Sequence[str]) -> Mapping[str, dict[str, Any]]:
        made = super()._parts(ids)
        interfaces: dict[str, list[NetworkInterface]] = {row_id: [] for row_id in ids}
        volumes: dict[str, list[Volume]] = {row_id: [] for row_id in ids}
        if ids:
            for nic in InterfaceRows(self._session).belonging_to(ids, "device_index"):
                interfaces[cast(str, nic.instance_id)].append(nic)
            for disk in TableRows(self._session, VOLUMES).belonging_to(ids, "device"):
                volumes[cast(str, disk.instance_id)].append(disk)
        for row_id, fields in made.items():
            fields["interfaces"] = tuple(interfaces[row_id])
            fields["volumes"] = tuple(volumes[row_id])
        return made
