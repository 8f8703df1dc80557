"""Versions of launch templates: made, listed, deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from econe.actions import template_views
from econe.actions.context import Context
from econe.actions.filters import NOTHING, Table, read_filters
from econe.actions.launch_templates import DATA, DATA_SO, NAMED, named, warn
from econe.actions.listing import MANAGED, answer
from econe.actions.pages import read_page
from econe.actions.registry import action
from econe.domain.faults import Conflict, Invalid, Missing, Noun
from econe.domain.launch_templates import (
    DEFAULT,
    LATEST,
    LaunchTemplate,
    TemplateVersion,
    read_number,
    resolve,
)
from econe.domain.queries import Query
from econe.domain.template_book import missing_version, source_parameters

USUAL_PAGE: Final = 200
"""Versions in an answer where MaxResults does not say; also the most that it may say. A template
may have 10,000, of 22 kB each."""
TEMPLATES_AT_ONCE: Final = 250

VERSION_FILTERS: Final = Table(
    pushed={},
    shown={
        "create-time": "CreateTime",
        "ebs-optimized": "LaunchTemplateData.EbsOptimized",
        "host-resource-group-arn": NOTHING,
        "http-endpoint": "LaunchTemplateData.MetadataOptions.HttpEndpoint",
        # The endpoint that there is, is IPv4's; the model has no other member for it.
        "http-protocol-ipv4": "LaunchTemplateData.MetadataOptions.HttpEndpoint",
        "http-tokens": "LaunchTemplateData.MetadataOptions.HttpTokens",
        "iam-instance-profile": NOTHING,
        "image-id": "LaunchTemplateData.ImageId",
        "instance-type": "LaunchTemplateData.InstanceType",
        "is-default-version": "DefaultVersion",
        "kernel-id": NOTHING,
        "license-configuration-arn": NOTHING,
        "network-card-index": "LaunchTemplateData.NetworkInterfaces.NetworkCardIndex",
        "ram-disk-id": NOTHING,
    },
    tagged=False,
)

RESOLVED: Final = {
    "ResolveAlias": "no image is named by a Systems Manager parameter, so all are resolved"
}

_Found = tuple[LaunchTemplate, TemplateVersion]


@action(
    "CreateLaunchTemplateVersion",
    writes=True,
    takes=f"{NAMED} SourceVersion VersionDescription {DATA}",
    only=DATA_SO,
    moot=RESOLVED,
)
def create_launch_template_version(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    template = named(ctx, asked)
    parameters = source_parameters(
        ctx.tx, template, asked.get("SourceVersion"), asked["LaunchTemplateData"]
    )
    warning = warn(ctx, parameters)
    template, row = ctx.cloud.launch_templates.add_version(
        ctx.tx,
        template,
        description=asked.get("VersionDescription", ""),
        parameters=parameters,
        now=ctx.now,
    )
    return {"LaunchTemplateVersion": template_views.template_version(template, row), **warning}


@action("DeleteLaunchTemplateVersions", writes=True, takes=f"{NAMED} Versions")
def delete_launch_template_versions(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    template = named(ctx, asked)
    done = ctx.cloud.launch_templates.delete_versions(ctx.tx, template, asked["Versions"])
    return {
        "SuccessfullyDeletedLaunchTemplateVersions": [
            template_views.named_version(template, number) for number in done.gone
        ],
        "UnsuccessfullyDeletedLaunchTemplateVersions": [
            template_views.named_version(template, number) | {"ResponseError": _NOT_THERE}
            for number in done.missing
        ],
    }


_NOT_THERE: Final = {
    "Code": "launchTemplateVersionDoesNotExist",
    "Message": "The launch template version does not exist.",
}


@action(
    "DescribeLaunchTemplateVersions",
    takes=f"{NAMED} Versions MinVersion MaxVersion Filters MaxResults NextToken",
    moot=RESOLVED | MANAGED,
)
def describe_launch_template_versions(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """By template in the order of ids, and of each the newest first."""
    sieve = read_filters(asked, VERSION_FILTERS)
    page = read_page(ctx, asked, "DescribeLaunchTemplateVersions", least=1, most=USUAL_PAGE)
    if asked.get("LaunchTemplateId") or asked.get("LaunchTemplateName"):
        found = _of_one(ctx, named(ctx, asked), asked, page.after)
    else:
        found = _of_all(ctx, asked, page.after)
    kept: list[dict[str, Any]] = []
    last = ""
    for template, row in found:
        view = template_views.template_version(template, row)
        if not sieve.keeps(view):
            continue
        if len(kept) == (page.limit or USUAL_PAGE):
            return answer("LaunchTemplateVersions", kept, page.token(ctx, last))
        kept.append(view)
        last = f"{template.id} {row.number}"
    return answer("LaunchTemplateVersions", kept, None)


def _of_one(
    ctx: Context, template: LaunchTemplate, asked: dict[str, Any], after: str | None
) -> Iterator[_Found]:
    if after is not None and after.partition(" ")[0] != template.id:
        raise Invalid(Noun.PARAMETER, "NextToken", "The token specified is not valid.")
    known = ctx.tx.template_versions.numbers(template.id)
    least, most = asked.get("MinVersion"), asked.get("MaxVersion")
    if texts := asked.get("Versions"):
        if least or most:
            raise Conflict(
                Noun.PARAMETER,
                "LaunchTemplateVersion",
                "Versions cannot be named together with a range of versions.",
            )
        numbers = [resolve(template, text) for text in texts]
        for number in sorted(set(numbers).difference(known)):
            raise missing_version(template, number)
    else:
        first = read_number(least) if least else 0
        last = read_number(most) if most else template.last_number
        numbers = [number for number in known if first <= number <= last]
    return _rows(ctx, template, numbers, after)


def _of_all(ctx: Context, asked: dict[str, Any], after: str | None) -> Iterator[_Found]:
    """The latest or the default version of each template, or both."""
    texts = asked.get("Versions")
    if not texts:
        raise Missing(Noun.PARAMETER, "launch template ID or launch template name")
    if asked.get("MinVersion") or asked.get("MaxVersion") or set(texts) - {LATEST, DEFAULT}:
        raise Invalid(
            Noun.LAUNCH_TEMPLATE_VERSION,
            "",
            f"Of all launch templates only the versions '{LATEST}' and '{DEFAULT}' can be "
            "described.",
        )
    return (
        found
        for template in _templates(ctx, after.partition(" ")[0] if after else None)
        for found in _rows(
            ctx,
            template,
            [resolve(template, text) for text in texts],
            after if after and after.startswith(f"{template.id} ") else None,
        )
    )


def _templates(ctx: Context, first: str | None) -> Iterator[LaunchTemplate]:
    """The account's, from the one with the id `first` on."""
    rows = ctx.tx.launch_templates
    begun = rows.get(first) if first else None
    if begun is not None:
        yield begun
    query = Query(account=ctx.account.number, after=first, limit=TEMPLATES_AT_ONCE)
    while True:
        page = rows.find(query)
        yield from page.items
        if not page.more:
            return
        query = replace(query, after=page.items[-1].id)


def _rows(
    ctx: Context, template: LaunchTemplate, numbers: Sequence[int], after: str | None
) -> Iterator[_Found]:
    """Newest first; those below `after`, which names one (`lt-00000001 7`), where it is given."""
    below = int(after.partition(" ")[2]) if after else template.last_number + 1
    for number in sorted(set(numbers), reverse=True):
        row = ctx.tx.template_versions.get(template.id, number) if number < below else None
        if row is not None:
            yield template, row
