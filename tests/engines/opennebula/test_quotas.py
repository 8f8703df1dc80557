"""Limits of users, from quotas as one.userpool.info and one.userquota.info show them (recordings
15, 213; -1 is the default, -2 none)."""

import pytest
from lxml import etree

from econe.domain.accounts import Limits
from econe.engines.opennebula.quotas import limits_of


def quotas(*, vm: str = "", datastores: str = "") -> etree._Element:
    return etree.fromstring(
        f"<QUOTAS><ID>2</ID><DATASTORE_QUOTA>{datastores}</DATASTORE_QUOTA><NETWORK_QUOTA/>"
        f"<VM_QUOTA>{vm}</VM_QUOTA><IMAGE_QUOTA></IMAGE_QUOTA></QUOTAS>"
    )


def vm(vms: str, memory: str = "-1", clusters: str = "") -> str:
    where = f"<CLUSTER_IDS>{clusters}</CLUSTER_IDS>" if clusters else ""
    return (
        f"<VM>{where}<CPU><![CDATA[-2]]></CPU><MEMORY><![CDATA[{memory}]]></MEMORY>"
        f"<VMS><![CDATA[{vms}]]></VMS><VMS_USED><![CDATA[3]]></VMS_USED></VM>"
    )


def datastore(number: int, images: str, size: str = "-1") -> str:
    return (
        f"<DATASTORE><ID><![CDATA[{number}]]></ID><IMAGES><![CDATA[{images}]]></IMAGES>"
        f"<IMAGES_USED>0</IMAGES_USED><SIZE><![CDATA[{size}]]></SIZE></DATASTORE>"
    )


NONE = quotas()


@pytest.mark.parametrize(
    ("own", "default", "limit"),
    [
        (None, None, None),
        (NONE, NONE, None),
        (quotas(vm=vm("4")), NONE, 4),
        (quotas(vm=vm("0")), NONE, 0),
        (quotas(vm=vm("-1")), NONE, None),
        (quotas(vm=vm("-2")), quotas(vm=vm("7")), None),
        (quotas(vm=vm("-1")), quotas(vm=vm("7")), 7),
        (NONE, quotas(vm=vm("7")), 7),
        (quotas(vm=vm("9")), quotas(vm=vm("7")), 9),
        (quotas(vm=vm("many")), quotas(vm=vm("7")), 7),
        (quotas(vm=vm("1", clusters="0,100")), NONE, None),
        (quotas(vm=vm("1", clusters="0") + vm("5")), NONE, 5),
    ],
)
def test_most_machines(
    own: etree._Element | None, default: etree._Element | None, limit: int | None
) -> None:
    assert limits_of(own, default, [1]) == Limits(instances=limit)


def test_memory_is_counted_in_mib() -> None:
    found = limits_of(quotas(vm=vm("-1", memory="2048.50")), NONE, [1])
    assert found == Limits(memory_mib=2048)


def test_cpu_is_no_limit_on_virtual_ones() -> None:
    assert limits_of(quotas(vm=vm("1").replace("-2", "1.50")), NONE, []).vcpus is None


@pytest.mark.parametrize(
    ("own", "images", "storage_gib"),
    [
        (datastore(1, "3", "2048") + datastore(100, "2", "1"), 5, 3),
        (datastore(1, "3", "2048"), None, None),  # the other one takes as many as there are
        (datastore(1, "3") + datastore(100, "-2"), None, None),
        (datastore(1, "0", "0") + datastore(100, "0", "0"), 0, 0),
    ],
)
def test_images_may_be_in_any_datastore(
    own: str, images: int | None, storage_gib: int | None
) -> None:
    found = limits_of(quotas(datastores=own), NONE, [1, 100])
    assert found == Limits(images=images, storage_gib=storage_gib)


def test_where_there_is_no_datastore_there_is_no_limit() -> None:
    assert limits_of(quotas(datastores=datastore(1, "3")), NONE, []) == Limits()
