"""Instances: what is there, and what shall become of them. Launching has its own module."""

import base64
from dataclasses import replace
from typing import Any, Final

from econe.actions import views
from econe.actions.context import Context
from econe.actions.filters import Sieve, read_filters
from econe.actions.fragments import Fresh, Rendered
from econe.actions.instance_filters import INSTANCE_FILTERS, STATUS_FILTERS
from econe.actions.listing import MANAGED, Show, answer, check_ids, gather, read_ids
from econe.actions.pages import PageAsked, read_page
from econe.actions.registry import action
from econe.domain.faults import Conflict, Noun
from econe.domain.fleet import find_instances
from econe.domain.instances import Instance, InstanceState
from econe.domain.queries import Criterion, Key, Query

LISTED: Final = "InstanceIds Filters MaxResults NextToken"

Shown = Fresh | Rendered
"""An instance in an answer: rendered before, or a view that will be."""


@action("DescribeInstances", takes=LISTED, moot=MANAGED)
def describe_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    sieve = read_filters(asked, INSTANCE_FILTERS)
    page = read_page(ctx, asked, "DescribeInstances", alone=("InstanceIds",))
    query = _query(ctx, asked, sieve)

    def show(row: Instance) -> dict[str, Any]:
        return views.instance(row, ctx.cloud)

    if sieve.is_here:
        shown, token = _sifted(ctx, query, sieve, page, show)
    else:
        shown, token = _listed(ctx, query, page, show)
    reservations: dict[str, list[Shown]] = {}
    for reservation_id, each in shown:
        reservations.setdefault(reservation_id, []).append(each)
    owner = ctx.account
    structures = [
        views.reservation(reservation_id, owner.number, owner.name, members)
        for reservation_id, members in reservations.items()
    ]
    return answer("Reservations", structures, token)


def _query(ctx: Context, asked: dict[str, Any], sieve: Sieve) -> Query:
    """Raises NotFound where an id that is asked for names no instance of the account."""
    ids = read_ids(Noun.INSTANCE, asked.get("InstanceIds"))
    query = Query(account=ctx.account.number, ids=ids)
    if ids is not None:
        check_ids(ctx.tx.instances, query, Noun.INSTANCE)
    return replace(query, criteria=sieve.criteria)


def _listed(
    ctx: Context, query: Query, page: PageAsked, show: Show[Instance]
) -> tuple[list[tuple[str, Shown]], str | None]:
    """(reservation, what is shown of the instance) of one page. The hot path: rows that were
    rendered as they are now are not loaded."""
    found = ctx.tx.instances.keys(replace(query, after=page.after, limit=page.limit))
    known = ctx.fragments.known(found.items)
    fresh: dict[str, Fresh] = {}
    if len(known) < len(found.items):
        missing = [key.id for key in found.items if key not in known]
        fresh = {row.id: _fragment(row, show) for row in ctx.tx.instances.many(missing)}
    shown = [(key.group, known[key] if key in known else fresh[key.id]) for key in found.items]
    return shown, page.token(ctx, found.items[-1].id) if found.more else None


def _sifted(
    ctx: Context, query: Query, sieve: Sieve, page: PageAsked, show: Show[Instance]
) -> tuple[list[tuple[str, Shown]], str | None]:
    """The same where filters have to look into the views."""

    def sifted(row: Instance) -> dict[str, Any]:
        fragment = _fragment(row, show)
        return {
            **fragment.structure,
            "Shown": (row.reservation_id, fragment),
            "InterfaceTags": [tag for each in row.interfaces for tag in views.tags(each.tags)],
            "InterfaceZones": [row.zone for _ in row.interfaces],
        }

    kept, token = gather(ctx, ctx.tx.instances, query, sieve=sieve, page=page, show=sifted)
    return [view["Shown"] for view in kept], token


def _fragment(row: Instance, show: Show[Instance]) -> Fresh:
    return Fresh(Key(row.id, row.version, row.reservation_id), show(row))


@action("DescribeInstanceStatus", takes=f"{LISTED} IncludeAllInstances", moot=MANAGED)
def describe_instance_status(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Running ones only, unless all are asked for."""
    sieve = read_filters(asked, STATUS_FILTERS)
    page = read_page(ctx, asked, "DescribeInstanceStatus", alone=("InstanceIds",))
    query = _query(ctx, asked, sieve)
    if not asked.get("IncludeAllInstances"):
        running = Criterion("state", (InstanceState.RUNNING.value,))
        query = replace(query, criteria=(*query.criteria, running))

    def show(row: Instance) -> dict[str, Any]:
        return views.instance_status(row, ctx.cloud)

    if sieve.is_here:
        kept, token = gather(ctx, ctx.tx.instances, query, sieve=sieve, page=page, show=show)
        return answer("InstanceStatuses", kept, token)
    shown, token = _listed(ctx, query, page, show)
    return answer("InstanceStatuses", [each for _, each in shown], token)


@action("StartInstances", writes=True, takes="InstanceIds")
def start_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    moved = ctx.cloud.instances.start(ctx.tx, ctx.account.number, asked["InstanceIds"], ctx.now)
    return {"StartingInstances": views.moved(moved)}


@action("StopInstances", writes=True, takes="InstanceIds Force Hibernate SkipOsShutdown")
def stop_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Every guest is first asked to halt and given its time, which is what Force promises, too; of
    one that is under way it takes what is left of that time (API reference). SkipOsShutdown cuts
    power without asking."""
    forced, at_last = bool(asked.get("SkipOsShutdown")), bool(asked.get("Force"))
    hibernate = bool(asked.get("Hibernate"))
    if hibernate and (forced or at_last):
        raise Conflict(
            Noun.PARAMETER,
            "Hibernate",
            "The parameter Hibernate cannot be used with the parameters Force and SkipOsShutdown.",
        )
    moved = ctx.cloud.instances.stop(
        ctx.tx,
        ctx.account.number,
        asked["InstanceIds"],
        ctx.now,
        forced=forced,
        at_last=at_last,
        hibernate=hibernate,
    )
    return {"StoppingInstances": views.moved(moved)}


@action("RebootInstances", writes=True, takes="InstanceIds")
def reboot_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    ctx.cloud.instances.reboot(ctx.tx, ctx.account.number, asked["InstanceIds"], ctx.now)
    return {}


@action("TerminateInstances", writes=True, takes="InstanceIds Force SkipOsShutdown")
def terminate_instances(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Every guest is first asked to halt and given its time, which is what Force promises, too; of
    one that is under way it takes what is left of that time (API reference)."""
    moved = ctx.cloud.instances.terminate(
        ctx.tx,
        ctx.account.number,
        asked["InstanceIds"],
        ctx.now,
        forced=bool(asked.get("SkipOsShutdown")),
        at_last=bool(asked.get("Force")),
    )
    return {"TerminatingInstances": views.moved(moved)}


# Without Latest EC2 shows what it noted down after the last change of state (API reference,
# GetConsoleOutput).
@action(
    "GetConsoleOutput",
    takes="InstanceId",
    lasting=False,
    moot={"Latest": "what the guest wrote is always read as it is now"},
)
def get_console_output(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    (row,) = find_instances(ctx.tx, ctx.account.number, [asked["InstanceId"]])
    written = ctx.cloud.consoles.output(row.id)
    if written is None:
        return {"InstanceId": row.id, "Timestamp": ctx.now}
    output, at = written
    return {
        "InstanceId": row.id,
        "Timestamp": at,
        "Output": base64.b64encode(output).decode("ascii"),
    }


@action("GetPasswordData", takes="InstanceId")
def get_password_data(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """There is none, as of every instance that is no Windows: EC2 answers an empty string."""
    (row,) = find_instances(ctx.tx, ctx.account.number, [asked["InstanceId"]])
    return {"InstanceId": row.id, "PasswordData": "", "Timestamp": row.launched_at}
