"""What can be done with launch templates: create, revise, choose a default, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from econe.domain.faults import (
    Conflict,
    Duplicate,
    Invalid,
    LimitExceeded,
    Missing,
    NotFound,
    Noun,
)
from econe.domain.ids import read_id
from econe.domain.launch_templates import (
    MOST_DELETED,
    MOST_TEMPLATES,
    MOST_VERSIONS,
    LaunchTemplate,
    Parameters,
    TemplateVersion,
    check_description,
    check_name,
    read_number,
    resolve,
    revise,
    written,
)
from econe.domain.ports import Transaction
from econe.domain.queries import Criterion, Query, literally
from econe.domain.tagging import check_tags


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of deleting versions, in the order in which they were asked for."""

    gone: Sequence[int]
    missing: Sequence[int]


@dataclass(frozen=True, slots=True)
class TemplateBook:
    """Use cases of launch templates. Raise Fault; `account` is a number."""

    most_templates: int = MOST_TEMPLATES
    most_versions: int = MOST_VERSIONS

    def create(
        self,
        tx: Transaction,
        account: str,
        *,
        name: str,
        description: str,
        parameters: Parameters,
        tags: Mapping[str, str],
        now: datetime,
    ) -> LaunchTemplate:
        """A template whose version 1, the default one, has these parameters."""
        check_name(name)
        check_description(description)
        check_tags(tags)
        if _named(tx, account, name) is not None:
            raise Duplicate(Noun.LAUNCH_TEMPLATE_NAME, name)
        if len(tx.launch_templates.keys(Query(account=account)).items) >= self.most_templates:
            raise LimitExceeded(Noun.LAUNCH_TEMPLATE)
        (template_id,) = tx.next_ids("lt")
        row = LaunchTemplate(template_id, account, name, created_at=now, tags=tags)
        tx.launch_templates.add(row)
        tx.template_versions.add(
            TemplateVersion(template_id, 1, now, written(parameters), description)
        )
        if tags:
            tx.tags.put(account, template_id, Noun.LAUNCH_TEMPLATE.value, tags)
        return row

    def add_version(
        self,
        tx: Transaction,
        row: LaunchTemplate,
        *,
        description: str,
        parameters: Parameters,
        now: datetime,
    ) -> tuple[LaunchTemplate, TemplateVersion]:
        """The next version. It becomes the latest one and not the default one."""
        check_description(description)
        if len(tx.template_versions.numbers(row.id)) >= self.most_versions:
            raise LimitExceeded(Noun.LAUNCH_TEMPLATE_VERSION)
        number = row.last_number + 1
        made = TemplateVersion(row.id, number, now, written(parameters), description)
        tx.template_versions.add(made)
        after = replace(row, latest_number=number, last_number=number)
        return tx.launch_templates.save(after), made

    def set_default(self, tx: Transaction, row: LaunchTemplate, version: str) -> LaunchTemplate:
        """`version` is a number, `$Latest` or `$Default`."""
        number = find_version(tx, row, version).number
        if number == row.default_number:
            return row
        return tx.launch_templates.save(replace(row, default_number=number))

    def delete(self, tx: Transaction, row: LaunchTemplate) -> None:
        """With all its versions. Instances keep what they have."""
        tx.launch_templates.remove(row.id)

    def delete_versions(
        self, tx: Transaction, row: LaunchTemplate, versions: Sequence[str]
    ) -> Deleted:
        """Those that there are; none where the default one is among them."""
        if len(versions) > MOST_DELETED:
            raise Invalid(
                Noun.PARAMETER,
                "LaunchTemplateVersion",
                f"Up to {MOST_DELETED} versions can be deleted in one request.",
            )
        asked = list(dict.fromkeys(read_number(text) for text in versions))
        if row.default_number in asked:
            raise Invalid(
                Noun.LAUNCH_TEMPLATE_VERSION,
                str(row.default_number),
                "The default version cannot be deleted. Either specify another version as default "
                "or delete the launch template.",
            )
        known = set(tx.template_versions.numbers(row.id))
        gone = [number for number in asked if number in known]
        for number in gone:
            tx.template_versions.remove(row.id, number)
        latest = max(known - set(gone))
        if latest != row.latest_number:
            tx.launch_templates.save(replace(row, latest_number=latest))
        return Deleted(gone, [number for number in asked if number not in known])


def find_template(
    tx: Transaction, account: str, asked_id: str | None, name: str | None
) -> LaunchTemplate:
    """The account's template of the one or the other."""
    if asked_id and name:
        raise Conflict(
            Noun.PARAMETER,
            "LaunchTemplateName",
            "Either provide launch template ID or launch template name.",
        )
    if name:
        check_name(name)
        found = _named(tx, account, name)
        if found is None:
            raise NotFound(Noun.LAUNCH_TEMPLATE_NAME, name)
        return found
    if not asked_id:
        raise Missing(Noun.PARAMETER, "launch template ID or launch template name")
    row = tx.launch_templates.get(read_id(Noun.LAUNCH_TEMPLATE, asked_id))
    if row is None or row.account != account:
        raise NotFound(Noun.LAUNCH_TEMPLATE, asked_id)
    return row


def find_version(tx: Transaction, row: LaunchTemplate, version: str) -> TemplateVersion:
    """`version` is a number, `$Latest` or `$Default`."""
    number = resolve(row, version)
    found = tx.template_versions.get(row.id, number)
    if found is None:
        raise missing_version(row, number)
    return found


def source_parameters(
    tx: Transaction, row: LaunchTemplate, source: str | None, given: Parameters
) -> Parameters:
    """What a new version says that gives `given` over the version `source`."""
    if not source:
        return given
    return revise(find_version(tx, row, source).parameters, given)


def missing_version(row: LaunchTemplate, number: int) -> NotFound:
    return NotFound(
        Noun.LAUNCH_TEMPLATE_VERSION,
        str(number),
        f"Could not find the specified version {number} for the launch template with ID {row.id}.",
    )


def _named(tx: Transaction, account: str, name: str) -> LaunchTemplate | None:
    same = Criterion("name", (literally(name),))
    rows = tx.launch_templates.find(Query(account=account, criteria=(same,))).items
    return rows[0] if rows else None
