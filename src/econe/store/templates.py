"""The versions of launch templates."""

from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from econe.domain.launch_templates import TemplateVersion
from econe.store import tables
from econe.store.mapping import Mapper
from econe.store.statements import Session, Statement

_MAPPER: Final = Mapper(TemplateVersion, tables.template_versions)
_V: Final = tables.template_versions.c
_OF: Final = _V.template_id == bindparam("of_template")
_THIS: Final = (_OF, _V.number == bindparam("of_number"))
_NUMBERS: Final = Statement(select(_V.number).where(_OF).order_by(_V.number))
_GET: Final = Statement(select(*_MAPPER.columns).where(*_THIS))
_ADD: Final = Statement(insert(tables.template_versions), [column.name for column in _V])
_REMOVE: Final = Statement(delete(tables.template_versions).where(*_THIS))


class TemplateVersionRows:
    """Implements domain.ports.TemplateVersions."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def numbers(self, template_id: str) -> list[int]:
        return [row[0] for row in self._session.rows(_NUMBERS, {"of_template": template_id})]

    def get(self, template_id: str, number: int) -> TemplateVersion | None:
        row = self._session.row(_GET, {"of_template": template_id, "of_number": number})
        return _MAPPER.row(row, {}) if row else None

    def add(self, version: TemplateVersion) -> None:
        self._session.run(_ADD, _MAPPER.values(version))

    def remove(self, template_id: str, number: int) -> None:
        self._session.run(_REMOVE, {"of_template": template_id, "of_number": number})
