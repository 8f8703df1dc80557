"""One transaction: the rows of every noun over one session."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam
from sqlalchemy.dialects.sqlite import insert

from econe.domain.ids import write_id
from econe.domain.keypairs import KeyPair
from econe.domain.launch_templates import LaunchTemplate
from econe.domain.networks import SecurityGroup, Subnet, Vpc
from econe.store import rows, tables
from econe.store.identity import AccessKeyRows, AccountRows, TokenRows
from econe.store.rows import ImageRows, InstanceRows, InterfaceRows, TableRows, VolumeRows
from econe.store.sealing import Seal
from econe.store.sizes import SizeRows
from econe.store.statements import Session, Statement
from econe.store.tagging import TagRows
from econe.store.templates import TemplateVersionRows

_C: Final = tables.counters.c
_COUNT: Final = Statement(
    insert(tables.counters)
    .values(prefix=bindparam("prefix"), last=bindparam("count"))
    .on_conflict_do_update(index_elements=[_C.prefix], set_={"last": _C.last + bindparam("count")})
    .returning(_C.last)
)
_CLAIM: Final = Statement(
    # No row comes back where a number at least as great was given before.
    insert(tables.counters)
    .values(prefix=bindparam("prefix"), last=bindparam("number"))
    .on_conflict_do_update(
        index_elements=[_C.prefix],
        set_={"last": bindparam("number")},
        where=_C.last < bindparam("number"),
    )
    .returning(_C.last)
)


class DatabaseTransaction:
    """Implements domain.ports.Transaction. Used by one thread."""

    def __init__(self, session: Session, seal: Seal) -> None:
        self._session, self._seal = session, seal
        self.undone = False

    @property
    def accounts(self) -> AccountRows:
        return AccountRows(self._session)

    @property
    def access_keys(self) -> AccessKeyRows:
        return AccessKeyRows(self._session, self._seal)

    @property
    def images(self) -> ImageRows:
        return ImageRows(self._session)

    @property
    def instances(self) -> InstanceRows:
        return InstanceRows(self._session)

    @property
    def key_pairs(self) -> TableRows[KeyPair]:
        return TableRows(self._session, rows.KEY_PAIRS)

    @property
    def launch_templates(self) -> TableRows[LaunchTemplate]:
        return TableRows(self._session, rows.LAUNCH_TEMPLATES)

    @property
    def template_versions(self) -> TemplateVersionRows:
        return TemplateVersionRows(self._session)

    @property
    def volumes(self) -> VolumeRows:
        return VolumeRows(self._session)

    @property
    def interfaces(self) -> InterfaceRows:
        return InterfaceRows(self._session)

    @property
    def vpcs(self) -> TableRows[Vpc]:
        return TableRows(self._session, rows.VPCS)

    @property
    def subnets(self) -> TableRows[Subnet]:
        return TableRows(self._session, rows.SUBNETS)

    @property
    def security_groups(self) -> TableRows[SecurityGroup]:
        return TableRows(self._session, rows.SECURITY_GROUPS)

    @property
    def sizes(self) -> SizeRows:
        return SizeRows(self._session)

    @property
    def tags(self) -> TagRows:
        return TagRows(self._session)

    @property
    def tokens(self) -> TokenRows:
        return TokenRows(self._session)

    def next_ids(self, prefix: str, count: int = 1) -> Sequence[str]:
        if count < 1:
            return ()
        row = self._session.row(_COUNT, {"prefix": prefix, "count": count})
        last: int = row[0]
        return [write_id(prefix, number) for number in range(last - count + 1, last + 1)]

    def claim_id(self, prefix: str, number: int) -> str:
        row = self._session.row(_CLAIM, {"prefix": prefix, "number": number})
        return write_id(prefix, row[0]) if row else self.next_ids(prefix)[0]

    def undo(self) -> None:
        self.undone = True
