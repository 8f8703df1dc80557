"""When keys were last used: seen in memory, and written down rarely."""

import threading
from datetime import timedelta

import pytest

from econe.domain.accounts import AccessKey
from econe.domain.hidden import Hidden
from econe.domain.key_use import EXACT, KeyUse

KEY = "AKIA0000000000000001"


@pytest.fixture
def used(helen):
    """used(): what is written of the key."""
    with helen.store.writing() as tx:
        tx.access_keys.add(AccessKey(KEY, helen.account.number, (Hidden("s"),), helen.now))

    def read():
        with helen.store.reading() as tx:
            return tx.access_keys.get(KEY).last_used_at

    return read


def test_a_use_is_written_down_when_its_time_has_come(helen, used):
    use = KeyUse()
    assert used() is None
    use.note(KEY, helen.now)
    assert used() is None
    use.write_down(helen.store)
    assert used() == helen.now


def test_one_that_is_used_all_the_time_is_written_rarely(helen, used):
    use, first = KeyUse(), helen.now
    use.note(KEY, first)
    use.write_down(helen.store)
    before = helen.store.mark()
    use.note(KEY, first + EXACT - timedelta(seconds=1))
    use.write_down(helen.store)
    use.write_down(helen.store)
    assert (used(), helen.store.mark()) == (first, before)
    use.note(KEY, first + EXACT)
    use.write_down(helen.store)
    assert used() == first + EXACT


def test_the_time_never_goes_back_and_others_fields_stay(helen, used):
    with helen.store.writing() as tx:
        tx.access_keys.used(KEY, helen.now)
        tx.access_keys.used(KEY, helen.now - timedelta(days=1))
        key = tx.access_keys.get(KEY)
        tx.access_keys.save(key)
    assert used() == helen.now
    assert key.secrets == (Hidden("s"),)


def test_a_key_that_is_gone_is_nobodys_trouble(helen, used):
    use = KeyUse()
    use.note("AKIAGONE", helen.now)
    use.note(KEY, helen.now)
    use.write_down(helen.store)
    assert used() == helen.now
    with helen.store.writing() as tx:
        tx.access_keys.used("AKIAGONE", helen.now)


def test_many_threads_note_at_once(helen, used):
    use = KeyUse()

    def note():
        for number in range(200):
            use.note(f"k{number}", helen.now)
            use.note(KEY, helen.now)

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    use.write_down(helen.store)
    for thread in threads:
        thread.join(30)
    use.write_down(helen.store)
    assert used() == helen.now
