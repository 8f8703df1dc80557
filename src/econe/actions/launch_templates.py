"""Launch templates: made, listed, chosen a default version of, deleted."""

from dataclasses import replace
from typing import Any, Final

from econe.actions import template_views
from econe.actions.context import Context
from econe.actions.filters import Table, read_filters
from econe.actions.launching import SO, TAKES, assemble, check_interfaces
from econe.actions.listing import MANAGED, answer, gather, read_ids
from econe.actions.only import insist
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.actions.tagspecs import read_specifications
from econe.domain.faults import Fault, Missing, NotFound, Noun
from econe.domain.fleet import find_instances
from econe.domain.launch import LaunchOrder
from econe.domain.launch_doubts import UNFINISHED, doubts, noted
from econe.domain.launch_templates import LaunchTemplate, Parameters, check_name
from econe.domain.queries import Criterion, Query, literally
from econe.domain.template_book import find_template

RUN_ONLY: Final = frozenset({"MinCount", "MaxCount", "PrivateIpAddress", "SubnetId"})
"""What RunInstances takes and the model has not in a template's data: how many are launched is the
launch's affair, and a template says subnet and address of an interface."""
DATA: Final = " ".join(
    f"LaunchTemplateData.{path}" for path in TAKES.split() if path not in RUN_ONLY
)
DATA_SO: Final = {f"LaunchTemplateData.{path}": values for path, values in SO.items()}
"""What a template may hold is what a launch may say."""
NAMED: Final = "LaunchTemplateId LaunchTemplateName"

TEMPLATE_FILTERS: Final = Table(
    pushed={"create-time": "created_at", "launch-template-name": "name"},
    shown={},
)


@action(
    "CreateLaunchTemplate",
    writes=True,
    takes=f"LaunchTemplateName VersionDescription TagSpecifications {DATA}",
    only=DATA_SO,
)
def create_launch_template(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    tags = read_specifications(asked, ["launch-template"])
    check_name(asked["LaunchTemplateName"])
    warning = warn(ctx, asked["LaunchTemplateData"])
    row = ctx.cloud.launch_templates.create(
        ctx.tx,
        ctx.account.number,
        name=asked["LaunchTemplateName"],
        description=asked.get("VersionDescription", ""),
        parameters=asked["LaunchTemplateData"],
        tags=tags.get("launch-template", {}),
        now=ctx.now,
    )
    return {"LaunchTemplate": template_views.launch_template(row), **warning}


@action("ModifyLaunchTemplate", writes=True, takes=f"{NAMED} DefaultVersion")
def modify_launch_template(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    row = named(ctx, asked)
    version = asked.get("DefaultVersion")
    if not version:
        raise Missing(
            Noun.PARAMETER,
            "DefaultVersion",
            "A launch template version must be specified to set the new default version for the "
            f"template with ID {row.id}.",
        )
    row = ctx.cloud.launch_templates.set_default(ctx.tx, row, version)
    return {"LaunchTemplate": template_views.launch_template(row)}


@action("DeleteLaunchTemplate", writes=True, takes=NAMED)
def delete_launch_template(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    row = named(ctx, asked)
    ctx.cloud.launch_templates.delete(ctx.tx, row)
    return {"LaunchTemplate": template_views.launch_template(row)}


@action(
    "DescribeLaunchTemplates",
    takes="LaunchTemplateIds LaunchTemplateNames Filters MaxResults NextToken",
    moot=MANAGED,
)
def describe_launch_templates(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    sieve = read_filters(asked, TEMPLATE_FILTERS)
    page = read_page(ctx, asked, "DescribeLaunchTemplates", least=1, most=200)
    ids = read_ids(Noun.LAUNCH_TEMPLATE, asked.get("LaunchTemplateIds"))
    names = tuple(dict.fromkeys(asked.get("LaunchTemplateNames") or ()))
    for name in names:
        check_name(name)
    rows = ctx.tx.launch_templates
    query = Query(account=ctx.account.number, ids=ids)
    if ids is not None and len(rows.keys(query).items) < len(ids):
        raise _some_missing(Noun.LAUNCH_TEMPLATE)
    by_name = (Criterion("name", tuple(literally(name) for name in names)),) if names else ()
    if names:
        known = rows.keys(Query(account=ctx.account.number, criteria=by_name))
        if len(known.items) < len(names):
            raise _some_missing(Noun.LAUNCH_TEMPLATE_NAME)
    query = replace(query, criteria=(*sieve.criteria, *by_name))
    show = template_views.launch_template
    return answer("LaunchTemplates", *gather(ctx, rows, query, sieve=sieve, page=page, show=show))


@action("GetLaunchTemplateData", takes="InstanceId")
def get_launch_template_data(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    (row,) = find_instances(ctx.tx, ctx.account.number, [asked["InstanceId"]])
    return {"LaunchTemplateData": template_views.launch_parameters(row, ctx.cloud)}


# --- what versions need, too ---------------------------------------------------------------


def named(ctx: Context, asked: dict[str, Any]) -> LaunchTemplate:
    """The template that the request is about."""
    return find_template(
        ctx.tx,
        ctx.account.number,
        asked.get("LaunchTemplateId"),
        asked.get("LaunchTemplateName"),
    )


def warn(ctx: Context, parameters: Parameters) -> dict[str, Any]:
    """`Warning`, as a member of an answer, where a launch would not succeed as things are; {} for
    none. Raises Fault for parameters that RunInstances would never take."""
    insist(parameters, SO)
    found: list[Fault] = []
    order: LaunchOrder | None = None
    with noted(found, UNFINISHED):
        check_interfaces(parameters)
    with noted(found, UNFINISHED):
        order = assemble({"MinCount": 1, "MaxCount": 1, **parameters})
    if order is not None:
        found += doubts(ctx.cloud.instances, ctx.tx, ctx.account.number, order)
    if not found:
        return {}
    told = [ctx.words(fault) for fault in found]
    return {"Warning": {"Errors": [{"Code": code, "Message": said} for code, said, _ in told]}}


def _some_missing(noun: Noun) -> NotFound:
    """EC2's sentence; which ones are missing it does not say."""
    return NotFound(
        noun, said="At least one of the launch templates specified in the request does not exist."
    )
