"""Accounts, access keys, and the answers kept under client tokens."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, literal_column, or_, select, update

from econe.domain.accounts import AccessKey, Account, Limits, MetadataDefaults
from econe.domain.ports import Answered, Stale
from econe.store import tables
from econe.store.mapping import read_moment, write_moment
from econe.store.sealing import Seal
from econe.store.statements import Session, Statement

_A: Final = tables.accounts.c
_ACCOUNT: Final = select(
    _A.number,
    _A.name,
    _A.created_at,
    _A.enabled,
    _A.engine_ref,
    _A.group_refs,
    _A.limit_instances,
    _A.limit_vcpus,
    _A.limit_memory_mib,
    _A.limit_images,
    _A.limit_storage_gib,
    _A.metadata_http_tokens,
    _A.metadata_hop_limit,
    _A.metadata_http_endpoint,
    _A.metadata_instance_tags,
)
_ACCOUNT_BY_NUMBER: Final = Statement(_ACCOUNT.where(_A.number == bindparam("row_id")))
_ACCOUNT_BY_NAME: Final = Statement(_ACCOUNT.where(_A.name == bindparam("name")))
_ACCOUNTS: Final = Statement(_ACCOUNT.order_by(_A.created_at, _A.number))
_ADD_ACCOUNT: Final = Statement(insert(tables.accounts), [column.name for column in _A])
_SAVE_ACCOUNT: Final = Statement(
    update(tables.accounts).where(_A.number == bindparam("row_id")),
    [column.name for column in _A if column.name not in ("number", "created_at")],
)


def _account(row: tuple[Any, ...]) -> Account:
    number, name, created_at, enabled, engine_ref, groups, *rest = row
    limits, metadata = rest[: len(Limits.__slots__)], rest[len(Limits.__slots__) :]
    return Account(
        number,
        name,
        read_moment(created_at),
        bool(enabled),
        engine_ref,
        tuple(groups.split()),
        Limits(*limits),
        MetadataDefaults(*metadata),
    )


def _values(account: Account) -> dict[str, Any]:
    """All that may change."""
    limits = {f"limit_{name}": getattr(account.limits, name) for name in Limits.__slots__}
    defaults = account.metadata_defaults
    metadata = {f"metadata_{name}": getattr(defaults, name) for name in MetadataDefaults.__slots__}
    return {
        "name": account.name,
        "enabled": int(account.enabled),
        "engine_ref": account.engine_ref,
        "group_refs": " ".join(account.groups),
        **limits,
        **metadata,
    }


class AccountRows:
    """Implements domain.ports.Accounts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, number: str) -> Account | None:
        row = self._session.row(_ACCOUNT_BY_NUMBER, {"row_id": number})
        return _account(row) if row else None

    def named(self, name: str) -> Account | None:
        row = self._session.row(_ACCOUNT_BY_NAME, {"name": name})
        return _account(row) if row else None

    def all(self) -> list[Account]:
        return [_account(row) for row in self._session.rows(_ACCOUNTS)]

    def add(self, account: Account) -> None:
        given = {
            "number": account.number,
            "created_at": write_moment(account.created_at),
            **_values(account),
        }
        self._session.run(_ADD_ACCOUNT, given)

    def save(self, account: Account) -> None:
        given = {"row_id": account.number, **_values(account)}
        if self._session.run(_SAVE_ACCOUNT, given).rowcount != 1:
            raise Stale(f"account {account.number} is gone")


_K: Final = tables.access_keys.c
_KEY: Final = select(
    _K.access_key,
    _K.account,
    _K.sealed,
    _K.created_at,
    _K.enabled,
    _K.is_password,
    _K.last_used_at,
)
_KEY_BY_NAME: Final = Statement(_KEY.where(_K.access_key == bindparam("row_id")))
_KEYS_OF: Final = Statement(
    _KEY.where(_K.account == bindparam("account")).order_by(_K.created_at, _K.access_key)
)
_PASSWORDS: Final = Statement(_KEY.where(_K.is_password == literal_column("1")))
_ADD_KEY: Final = Statement(insert(tables.access_keys), [column.name for column in _K])
_SAVE_KEY: Final = Statement(
    update(tables.access_keys).where(_K.access_key == bindparam("row_id")), ["sealed", "enabled"]
)
_KEY_USED: Final = Statement(
    update(tables.access_keys).where(
        _K.access_key == bindparam("row_id"),
        or_(_K.last_used_at.is_(None), _K.last_used_at < bindparam("moment")),
    ),
    ["last_used_at"],
)
_REMOVE_KEY: Final = Statement(
    delete(tables.access_keys).where(_K.access_key == bindparam("row_id"))
)


class AccessKeyRows:
    """Implements domain.ports.AccessKeys."""

    def __init__(self, session: Session, seal: Seal) -> None:
        self._session, self._seal = session, seal

    def get(self, access_key: str) -> AccessKey | None:
        row = self._session.row(_KEY_BY_NAME, {"row_id": access_key})
        return self._key(row) if row else None

    def of(self, account: str) -> list[AccessKey]:
        return [self._key(row) for row in self._session.rows(_KEYS_OF, {"account": account})]

    def passwords(self) -> list[AccessKey]:
        return [self._key(row) for row in self._session.rows(_PASSWORDS)]

    def add(self, key: AccessKey) -> None:
        given = {
            "access_key": key.access_key,
            "account": key.account,
            "sealed": self._seal.close(key.access_key, key.secrets),
            "created_at": write_moment(key.created_at),
            "enabled": int(key.enabled),
            "is_password": int(key.is_password),
            "last_used_at": None if key.last_used_at is None else write_moment(key.last_used_at),
        }
        self._session.run(_ADD_KEY, given)

    def save(self, key: AccessKey) -> None:
        given = {
            "row_id": key.access_key,
            "sealed": self._seal.close(key.access_key, key.secrets),
            "enabled": int(key.enabled),
        }
        if self._session.run(_SAVE_KEY, given).rowcount != 1:
            raise Stale(f"access key {key.access_key} is gone")

    def used(self, access_key: str, at: datetime) -> None:
        moment = write_moment(at)
        given = {"row_id": access_key, "moment": moment, "last_used_at": moment}
        self._session.run(_KEY_USED, given)

    def remove(self, access_key: str) -> None:
        self._session.run(_REMOVE_KEY, {"row_id": access_key})

    def _key(self, row: tuple[str, str, bytes, str, int, int, str | None]) -> AccessKey:
        access_key, account, sealed, created_at, enabled, is_password, last_used_at = row
        return AccessKey(
            access_key=access_key,
            account=account,
            secrets=self._seal.open(access_key, sealed),
            created_at=read_moment(created_at),
            enabled=bool(enabled),
            is_password=bool(is_password),
            last_used_at=None if last_used_at is None else read_moment(last_used_at),
        )


_N: Final = tables.tokens.c
_THIS_TOKEN: Final = (
    _N.account == bindparam("of_account"),
    _N.action == bindparam("of_action"),
    _N.token == bindparam("of_token"),
)
_TOKEN: Final = Statement(select(_N.digest, _N.answer).where(*_THIS_TOKEN))
_PUT_TOKEN: Final = Statement(insert(tables.tokens), [column.name for column in _N])
_FORGET: Final = Statement(delete(tables.tokens).where(_N.created_at < bindparam("moment")))


class TokenRows:
    """Implements domain.ports.Tokens."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, account: str, action: str, token: str) -> Answered | None:
        given = {"of_account": account, "of_action": action, "of_token": token}
        row = self._session.row(_TOKEN, given)
        return Answered(*row) if row else None

    def put(self, account: str, action: str, token: str, answered: Answered, now: datetime) -> None:
        given = {
            "account": account,
            "action": action,
            "token": token,
            "digest": answered.digest,
            "answer": answered.answer,
            "created_at": write_moment(now),
        }
        self._session.run(_PUT_TOKEN, given)

    def forget_before(self, moment: datetime) -> int:
        return self._session.run(_FORGET, {"moment": write_moment(moment)}).rowcount
