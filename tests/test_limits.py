from __future__ import annotations

import pytest

from limpet.limits import MAX_ENTRIES, Delays, RateLimit, is_local, network_of

HERE, THERE = "192.0.2.1", "192.0.2.2"


def test_each_of_the_limits_holds() -> None:
    limit = RateLimit((2, 10.0), (3, 100.0))

    assert [limit.allows(HERE, now) for now in (0.0, 1.0, 2.0, 9.9, 10.0, 11.0, 99.0)] == [
        *(True, True, False, False, True, False, False)
    ]
    assert limit.allows(HERE, 100.0)


def test_one_address_does_not_spend_the_requests_of_another() -> None:
    limit = RateLimit((1, 10.0))

    assert limit.allows(HERE, 0.0)
    assert limit.allows(THERE, 0.0)
    assert not limit.allows(HERE, 1.0)


def test_the_table_of_addresses_does_not_grow_for_ever() -> None:
    limit = RateLimit((1, 10.0))
    for number in range(2 * MAX_ENTRIES):
        limit.allows(f"name {number}", 0.0)

    assert len(limit._times) == MAX_ENTRIES


def waits(delays: Delays, count: int, address: str = HERE, user: str = "ada", now: float = 0.0) -> list[float]:
    """The waits of so many failures, each tried again as soon as it may be."""
    found = []
    for _ in range(count):
        wait = delays.wait(address, user, now)
        if wait:
            now += wait
            assert delays.wait(address, user, now) == 0.0
        found.append(wait)
    return found


def test_the_wait_doubles_with_each_wrong_password_up_to_a_limit() -> None:
    assert waits(Delays(), 17) == [0.0] * 5 + [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0] + [300.0] * 3


def test_a_user_is_guarded_from_many_addresses() -> None:
    delays = Delays()
    for number in range(20):
        assert delays.wait(f"192.0.2.{number}", "ada", 0.0) == 0.0

    assert delays.wait("198.51.100.1", "ada", 0.0) == 1.0
    assert delays.wait("198.51.100.1", "bob", 0.0) == 0.0


def test_many_at_once_are_no_way_around_the_wait() -> None:
    delays = Delays()

    assert [delays.wait(HERE, "ada", 0.0) > 0 for _ in range(100)] == [False] * 5 + [True] * 95


def test_a_right_password_is_no_failure_and_clears_the_user_alone() -> None:
    delays = Delays()
    for _ in range(100):
        assert delays.wait(HERE, "ada", 0.0) == 0.0
        delays.succeeded(HERE, "ada")

    for _ in range(5):
        assert delays.wait(HERE, "bob", 0.0) == 0.0
        if delays.wait(HERE, "ada", 0.0) == 0.0:
            delays.succeeded(HERE, "ada")
    assert delays.wait(HERE, "bob", 0.0) > 0


def test_an_hour_later_all_is_forgotten() -> None:
    delays = Delays()
    waits(delays, 7)

    assert delays.wait(HERE, "ada", 5000.0) == 0.0
    assert delays.wait(HERE, "ada", 5000.0) == 0.0


def test_made_up_users_do_not_push_out_the_one_that_is_under_attack() -> None:
    delays = Delays()
    for number in range(20):
        delays.wait(f"192.0.2.{number}", "ada", 0.0)
    for number in range(2 * MAX_ENTRIES):
        delays.wait(f"name {number}", f"user {number}", 0.0)

    assert delays.wait("198.51.100.1", "ada", 0.0) == 1.0
    assert max(len(table) for table in delays._tables.values()) == MAX_ENTRIES


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_with_ipv6_a_whole_network_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("::1", True), ("fe80::1%eth0", True), ("8.8.8.8", False), ("", False)],
)
def test_it_is_known_who_is_in_a_network_of_our_own(address: str, local: bool) -> None:
    assert is_local(address) is local
