"""Tags: rows of their own, found by what they hang on and by what they say."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from sqlalchemy import bindparam, delete, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from econe.domain.queries import Page, Query
from econe.domain.tags import Tag
from econe.store import criteria, tables
from econe.store.statements import DIALECT, Session, Statement

_T: Final = tables.tags.c

_OF: Final = Statement(
    select(_T.key, _T.value).where(_T.resource_id == bindparam("row_id")).order_by(_T.key)
)
_INSERT: Final = insert(tables.tags)
_PUT: Final = Statement(
    # Writing the present value again is no change, so it must not raise the row's version.
    _INSERT.on_conflict_do_update(
        index_elements=[_T.resource_id, _T.key],
        set_={"value": _INSERT.excluded.value},
        where=_T.value != _INSERT.excluded.value,
    ),
    [column.name for column in _T],
)
_THE_TAG: Final = delete(tables.tags).where(
    _T.resource_id == bindparam("row_id"), _T.key == bindparam("tag_key")
)
_DROP: Final = Statement(_THE_TAG)
_DROP_VALUE: Final = Statement(_THE_TAG.where(_T.value == bindparam("tag_value")))

_FIELDS: Final = frozenset({"resource_id", "resource_type", "key", "value"})
_JOINT: Final = "\0"


@lru_cache(maxsize=256)
def _listing(shape: criteria.Shape) -> Statement:
    made = select(_T.resource_id, _T.resource_type, _T.key, _T.value)
    if shape.account:
        made = made.where(_T.account == bindparam("account"))
    if shape.ids:
        made = made.where(DIALECT.one_of(_T.resource_id, "ids"))
    if shape.after:
        after = tuple_(bindparam("after_id"), bindparam("after_key"))
        made = made.where(tuple_(_T.resource_id, _T.key) > after)
    by_key = False
    for asked in shape.criteria:
        if asked.field not in _FIELDS:
            raise ValueError(f"tags have no field {asked.field!r} to search by")
        made = made.where(asked.matches(_T[asked.field]))
        by_key = by_key or (asked.field == "key" and not asked.wild)
    # With a key known, the index on values finds few; sorting those is better than going through
    # all tags of the account because they are in order.
    order = [DIALECT.unled(_T.resource_id) if by_key else _T.resource_id, _T.key]
    made = made.order_by(*order)
    return Statement(made.limit(bindparam("limit")) if shape.limit else made)


class TagRows:
    """Implements domain.ports.Tags."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, resource_id: str) -> dict[str, str]:
        return dict(self._session.rows(_OF, {"row_id": resource_id}))

    def put(
        self, account: str, resource_id: str, resource_type: str, tags: Mapping[str, str]
    ) -> None:
        for key, value in tags.items():
            given = {
                "account": account,
                "resource_id": resource_id,
                "resource_type": resource_type,
                "key": key,
                "value": value,
            }
            self._session.run(_PUT, given)

    def drop(self, resource_id: str, key: str, value: str | None = None) -> None:
        given = {"row_id": resource_id, "tag_key": key, "tag_value": value}
        self._session.run(_DROP if value is None else _DROP_VALUE, given)

    def find(self, query: Query) -> Page[Tag]:
        if query.viewer is not None:
            raise ValueError("tags are seen only by their account")
        shape, given = criteria.read_query(query)
        if query.after is not None:
            given["after_id"], _, given["after_key"] = query.after.partition(_JOINT)
        rows = self._session.rows(_listing(shape), given)
        more = query.limit is not None and len(rows) > query.limit
        return Page([Tag(*row) for row in rows[: query.limit]], more)
