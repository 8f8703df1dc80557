"""Instance types that the engine has."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import delete, insert, select

from econe.domain.sizes import Size
from econe.store import tables
from econe.store.statements import Session, Statement

_T: Final = tables.instance_types.c
_ALL: Final = Statement(
    select(_T.name, _T.vcpus, _T.memory_mib, _T.owner, _T.engine_ref).order_by(_T.name, _T.owner)
)
_CLEAR: Final = Statement(delete(tables.instance_types))
_ADD: Final = Statement(insert(tables.instance_types), [column.name for column in _T])


class SizeRows:
    """Implements domain.ports.Sizes."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self) -> list[Size]:
        return [Size(*row) for row in self._session.rows(_ALL)]

    def replace(self, sizes: Iterable[Size]) -> bool:
        wanted = sorted(sizes, key=lambda size: (size.name, size.owner))
        if wanted == self.all():
            return False
        self._session.run(_CLEAR)
        for size in wanted:
            given = {name: getattr(size, name) for name in Size.__slots__}
            self._session.run(_ADD, given)
        return True
