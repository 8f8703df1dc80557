"""What the work plane reports of an image that the engine keeps, and what each report changes.

As happenings.py does for instances: every function reads the row again inside the caller's
writing transaction, and does nothing, and answers None, where the report comes too late. The
answer is the row as it is after the report.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from econe.domain.gallery import HOLDING_NAMES
from econe.domain.image_ports import SeenImage
from econe.domain.images import Image, ImageState
from econe.domain.instances import InstanceState
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally
from econe.domain.reasons import Reason
from econe.domain.tagging import usable_tags

NOT_KEPT: Final = Reason(
    "Server.InternalError", "Server.InternalError: The image's content could not be kept"
)
LIVE: Final = tuple(state for state in InstanceState if state is not InstanceState.TERMINATED)
_CALM: Final[Mapping[str, Any]] = MappingProxyType({"attempts": 0, "retry_at": None, "problem": ""})
"""What every success resets."""


def handed_over(tx: Transaction, image_id: str, ref: str) -> Image | None:
    """The engine has it, or takes it, and calls it `ref`. Also of one that was deregistered
    meanwhile: what is known by name can be removed."""
    row = tx.images.get(image_id)
    if row is None:
        return None
    return _saved(tx, row, replace(row, engine_ref=ref, **_CALM))


def refused(tx: Transaction, image_id: str, reason: Reason, problem: str) -> Image | None:
    """The engine will never take it. `problem` is for the operator."""
    row = tx.images.get(image_id)
    if row is None or row.state is not ImageState.PENDING or row.engine_ref:
        return None
    changes = {**_CALM, "problem": problem, "state_reason": reason}
    return _saved(tx, row, replace(row, state=ImageState.FAILED, **changes))


def shown(tx: Transaction, image_id: str, seen: SeenImage) -> Image | None:
    """How the engine shows it. What it is called and how large it is are ours to say, unless
    others made it; who may run it and whether it can be run follow the engine always."""
    row = tx.images.get(image_id)
    if row is None or row.state is ImageState.DEREGISTERED:
        return None
    return _saved(tx, row, _follows(tx, row, seen))


def differs(row: Image, seen: SeenImage) -> bool:
    """Whether shown() may have something to change. Cheap, for a look at all images."""
    return _facts(row, seen) != {name: getattr(row, name) for name in _facts(row, seen)} or (
        row.adopted and row.name not in (seen.name, _second_name(seen))
    )


def vanished(tx: Transaction, image_id: str) -> Image | None:
    """Others removed it from the engine, or it is another account's there by now."""
    row = tx.images.get(image_id)
    if row is None or row.state is ImageState.DEREGISTERED:
        return None
    after = replace(row, state=ImageState.DEREGISTERED, registered=False, **_CALM)
    return _saved(tx, row, after)


def adopted(tx: Transaction, seen: SeenImage) -> Image | None:
    """Others made it, or a row that was lost: a row for it, with its number where that is free."""
    if tx.accounts.get(seen.account) is None or _known(tx, seen):
        return None
    number = seen.id.rpartition("-")[2] or seen.ref
    row = Image(
        id=tx.claim_id("ami", int(number)),
        account=seen.account,
        name=_free_name(tx, seen.account, seen, image_id=""),
        location=seen.location,
        disk_format=seen.content_format,
        size_bytes=max(1, seen.size_bytes),
        created_at=seen.created_at,
        registered=True,
        state=seen.state,
        public=seen.public,
        description=seen.description,
        state_reason=_reason(seen),
        engine_ref=seen.ref,
        adopted=not seen.id,
        problem=_problem(seen),
        shares=tuple(sorted(seen.shares)),
    )
    tx.images.add(row)
    if tags := usable_tags(seen.tags):
        tx.tags.put(row.account, row.id, "image", tags)
    return row


def waits(tx: Transaction, image_id: str, problem: str, retry_at: datetime) -> Image | None:
    """A try did not work; the next is not before `retry_at`. `problem` is for the operator."""
    row = tx.images.get(image_id)
    if row is None:
        return None
    changes = {"attempts": row.attempts + 1, "retry_at": retry_at, "problem": problem}
    return tx.images.save(replace(row, **changes))  # type: ignore[arg-type]


def worked(tx: Transaction, image_id: str) -> Image | None:
    """What was tried before has been done."""
    row = tx.images.get(image_id)
    return _saved(tx, row, replace(row, **_CALM)) if row else None


def forgotten(tx: Transaction, image_id: str) -> Image | None:
    """Nothing of it is left in the engine: its row goes, if nothing here needs it."""
    row = tx.images.get(image_id)
    if row is None or row.state is not ImageState.DEREGISTERED or is_needed(tx, image_id):
        return None
    tx.images.remove(image_id)
    return row


def is_needed(tx: Transaction, image_id: str) -> bool:
    """By a live instance, or by a disk that is made of it."""
    of_it = Criterion("image_id", (image_id,))
    live = Query(criteria=(of_it, Criterion("state", LIVE)), limit=1)
    disks = Query(criteria=(of_it,), limit=1)
    return bool(tx.instances.keys(live).items or tx.volumes.keys(disks).items)


def _known(tx: Transaction, seen: SeenImage) -> bool:
    """By its name in the engine, or by our id that it carries."""
    named = Query(account=seen.account, criteria=(Criterion("engine_ref", (seen.ref,)),), limit=1)
    if tx.images.keys(named).items:
        return True
    its = tx.images.get(seen.id) if seen.id else None
    return its is not None and its.account == seen.account


def _follows(tx: Transaction, row: Image, seen: SeenImage) -> Image:
    changes: dict[str, Any] = _facts(row, seen)
    if seen.state is not row.state:
        changes |= {**_CALM, "problem": _problem(seen)}
    name = row.name
    if row.adopted:
        name = _free_name(tx, row.account, seen, row.id)
    elif seen.state in HOLDING_NAMES and row.state not in HOLDING_NAMES:
        name = _free_name(tx, row.account, replace(seen, name=row.name), row.id)
    return replace(row, name=name, **changes)


def _facts(row: Image, seen: SeenImage) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "engine_ref": seen.ref,
        "state": seen.state,
        "state_reason": _reason(seen),
        "registered": row.registered or seen.registered,
        "public": seen.public,
        "shares": tuple(sorted(seen.shares)),
    }
    if row.adopted:
        facts |= {
            "size_bytes": max(1, seen.size_bytes),
            "description": seen.description,
            "location": seen.location,
            "disk_format": seen.content_format,
        }
    return facts


def _reason(seen: SeenImage) -> Reason:
    return NOT_KEPT if seen.state is ImageState.FAILED else Reason()


def _problem(seen: SeenImage) -> str:
    return "" if seen.state is ImageState.AVAILABLE else seen.why


def _free_name(tx: Transaction, account: str, seen: SeenImage, image_id: str) -> str:
    """The engine's, or a longer one where another image of the account has that."""
    if seen.state not in HOLDING_NAMES:
        return seen.name
    same = Query(account=account, criteria=(Criterion("name", (literally(seen.name),)),))
    others = [row for row in tx.images.find(same).items if row.id != image_id]
    taken = any(row.state in HOLDING_NAMES for row in others)
    return _second_name(seen) if taken else seen.name


def _second_name(seen: SeenImage) -> str:
    """The engine's own id makes it unlike any other."""
    return f"{seen.name} ({seen.ref})"


def _saved(tx: Transaction, before: Image, after: Image) -> Image:
    return before if after == before else tx.images.save(after)
