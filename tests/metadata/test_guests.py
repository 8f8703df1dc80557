"""No guest takes the service from the others."""

from econe.metadata.guests import ALL_CONNECTIONS, BURST, CONNECTIONS, Guests

ONE, OTHER = ("vpc-00000001", "172.31.0.4"), ("vpc-00000001", "172.31.0.5")


def test_a_guest_with_too_many_connections_loses_its_own_oldest():
    guests = Guests()
    guests.enter(OTHER, "other")
    for number in range(CONNECTIONS):
        assert guests.enter(ONE, number) == []
    assert guests.enter(ONE, "new") == [0]


def test_when_all_is_taken_the_greediest_pays():
    guests = Guests()
    number = 0
    while number < ALL_CONNECTIONS:
        owner = f"vpc-{number:08d}"
        count = 5 if number == 0 else 1
        for _ in range(count):
            assert guests.enter((owner, ""), number) == []
            number += 1
    assert guests.enter(ONE, "new") == [0]


def test_leaving_twice_is_leaving_once():
    guests = Guests()
    guests.enter(ONE, "a")
    guests.leave(ONE, "a")
    guests.leave(ONE, "a")
    assert guests.of(ONE[0]) == []


def test_a_guest_that_asks_too_often_waits_while_others_are_answered():
    now = [0.0]
    guests = Guests(clock=lambda: now[0])
    assert all(guests.may_ask(ONE) for _ in range(BURST))
    assert not guests.may_ask(ONE)
    assert guests.may_ask(OTHER)
    now[0] += 1
    assert sum(guests.may_ask(ONE) for _ in range(BURST)) == 50
