"""The census may be cut off after any step: the next one finishes it, with nothing made twice."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.cluster_site import ADA, BOB, EXTRA, MAIN, ClusterSite, person
from tests.support.power import Fuse, PowerCut

from econe.domain.hidden import Hidden
from econe.domain.queries import Query
from econe.domain.sizes import Size

LATE = "100000000009"
MakeSite = Callable[[], ClusterSite]


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[MakeSite]:
    made: list[ClusterSite] = []

    def make() -> ClusterSite:
        directory = tmp_path / f"site-{len(made)}"
        directory.mkdir()
        made.append(ClusterSite(directory))
        return made[-1]

    yield make
    for site in made:
        site.store.close()


def everything_changes(site: ClusterSite) -> None:
    """Users take each other's names, one comes and one changes; networks, types and machines."""
    cluster = site.world.cluster
    cluster.put_person(person("2", "bob", secret=Hidden("of two")))
    cluster.put_person(person("3", "ada", enabled=False))
    cluster.put_person(person("9", "late"))
    cluster.networks[:] = [EXTRA]
    cluster.sizes.append(Size("one.small", 1, 128))
    for ref in ("7", "8"):
        site.stranger(ref)
    site.stranger("9", account=LATE)


def as_it_is(site: ClusterSite) -> dict[str, object]:
    """All that the census writes, without the ids that it gives."""
    with site.store.reading() as tx:
        accounts = [row for row in tx.accounts.all() if row.engine_ref]
        vpcs = tx.vpcs.find(Query()).items
        instances = tx.instances.find(Query()).items
        return {
            "accounts": sorted((row.number, row.name, row.enabled) for row in accounts),
            "keys": sorted(
                (key.access_key, key.account, key.secrets[0].reveal(), key.enabled)
                for key in tx.access_keys.passwords()
            ),
            "networks": sorted((row.account, row.engine_ref, row.is_default) for row in vpcs),
            "subnets": len(tx.subnets.find(Query()).items),
            "groups": len(tx.security_groups.find(Query()).items),
            "sizes": tx.sizes.all(),
            "instances": sorted(
                (row.id, row.engine_ref, row.account, [nic.private_ip for nic in row.interfaces])
                for row in instances
            ),
            "volumes": sorted(row.instance_id or "" for row in tx.volumes.find(Query()).items),
        }


def play(site: ClusterSite, fuse: Fuse, cuts: list[int]) -> bool:
    """Whether all cuts came about."""
    fuse.arm(0)
    site.take()
    everything_changes(site)
    for after in cuts:
        fuse.arm(after)
        try:
            site.engine.machines.look()
            site.take()
        except PowerCut:
            site.restart()
        else:
            return False
    fuse.arm(0)
    site.engine.machines.look()
    site.take()
    return True


def test_a_census_that_was_cut_off_is_finished_by_the_next(new_site: MakeSite):
    site = new_site()
    play(site, Fuse(site), [])
    wanted = as_it_is(site)
    assert len(wanted["instances"]) == 3
    assert wanted["accounts"] == [(ADA, "bob", True), (BOB, "ada", False), (LATE, "late", True)]
    assert (ADA, MAIN.ref, True) not in wanted["networks"]
    for after in itertools.count(1):
        site = new_site()
        came_about = play(site, Fuse(site), [after])
        assert as_it_is(site) == wanted
        if not came_about:
            break
    assert after > 10


def test_a_census_may_be_cut_off_again(new_site: MakeSite):
    site = new_site()
    play(site, Fuse(site), [])
    wanted = as_it_is(site)
    for after, again in itertools.product(range(1, 20, 3), range(1, 12, 2)):
        site = new_site()
        play(site, Fuse(site), [after, again])
        assert as_it_is(site) == wanted
