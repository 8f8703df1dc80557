"""Credit specifications: all that are burstable are `unlimited` (domain/cpu_credits.py)."""

from typing import Any, Final

from econe.actions.context import Context
from econe.actions.filters import Table
from econe.actions.listing import Listing, answer, describe
from econe.actions.registry import action
from econe.domain.cpu_credits import UNLIMITED, check_changeable, credits_of
from econe.domain.families import BURSTABLE_FAMILIES
from econe.domain.faults import Fault, Invalid, Missing, Noun
from econe.domain.fleet import find_instances
from econe.domain.instances import Instance
from econe.domain.queries import Criterion
from econe.domain.sizes import family_of, sizes_of

CREDIT_FILTERS: Final = Table(pushed={"instance-id": "id"}, shown={}, tagged=False)


@action("DescribeInstanceCreditSpecifications", takes="InstanceIds Filters MaxResults NextToken")
def describe_instance_credit_specifications(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Of the instances that are named, or of all burstable ones."""
    burstable = Criterion(
        "instance_type", tuple(f"{each}.*" for each in sorted(BURSTABLE_FAMILIES))
    )
    listing: Listing[Instance] = Listing(
        noun=Noun.INSTANCE,
        action="DescribeInstanceCreditSpecifications",
        ids="InstanceIds",
        rows=lambda tx: tx.instances,
        table=CREDIT_FILTERS,
        extra=() if asked.get("InstanceIds") else (burstable,),
        ids_alone=True,
    )
    return answer("InstanceCreditSpecifications", *describe(ctx, asked, listing, _view))


def _view(row: Instance) -> dict[str, Any]:
    return {"InstanceId": row.id, "CpuCredits": credits_of(row)}


@action(
    "ModifyInstanceCreditSpecification",
    writes=True,
    takes="InstanceCreditSpecifications.InstanceId",
    only={"InstanceCreditSpecifications.CpuCredits": (UNLIMITED,)},
)
def modify_instance_credit_specification(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Each for itself: what is wrong with one does not keep the others from it."""
    done, undone = [], []
    for each in asked["InstanceCreditSpecifications"]:
        named = {"InstanceId": each["InstanceId"]}
        if "CpuCredits" not in each:
            raise Missing(Noun.PARAMETER, "InstanceCreditSpecification.CpuCredits")
        try:
            (row,) = find_instances(ctx.tx, ctx.account.number, [each["InstanceId"]])
            check_changeable(row)
        except Fault as fault:
            code, said, _ = ctx.words(fault)
            undone.append({**named, "Error": {"Code": code, "Message": said}})
        else:
            done.append(named)
    return {
        "SuccessfulInstanceCreditSpecifications": done,
        "UnsuccessfulInstanceCreditSpecifications": undone,
    }


@action("GetDefaultCreditSpecification", takes="InstanceFamily")
def get_default_credit_specification(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    return _default(ctx, asked["InstanceFamily"])


@action(
    "ModifyDefaultCreditSpecification",
    writes=True,
    takes="InstanceFamily",
    only={"CpuCredits": (UNLIMITED,)},
)
def modify_default_credit_specification(ctx: Context, asked: dict[str, Any]) -> dict[str, Any]:
    return _default(ctx, asked["InstanceFamily"])


def _default(ctx: Context, family: str) -> dict[str, Any]:
    offered = sizes_of(ctx.tx, ctx.account.number, ctx.cloud.sizes)
    if family not in {family_of(name) for name in offered}:
        raise Invalid(
            Noun.PARAMETER, family, f"The instance family '{family}' is not offered in this cloud."
        )
    told = {"InstanceFamily": family, "CpuCredits": UNLIMITED}
    return {"InstanceFamilyCreditSpecification": told}
