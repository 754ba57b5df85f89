from __future__ import annotations

from limpet.appkeys import LONGEST_TIME, MAX_PENDING, POLL_TIME, AppRequest, AppRequests, Grant

GRANT = Grant(user="ada")


def asked(requests: AppRequests, now: float = 0.0) -> tuple[str, AppRequest]:
    answer = requests.ask("Cura", None, "192.0.2.1", now)
    assert answer is not None
    return answer


def test_a_request_waits_until_somebody_decides_and_is_answered_once() -> None:
    requests = AppRequests()
    token, request = asked(requests)

    polled = requests.poll(token, 1.0)
    assert polled is request
    assert polled.grant is None
    assert requests.decide(request.user_token, GRANT, 2.0)
    granted = requests.poll(token, 3.0)
    assert granted is not None
    assert granted.grant == GRANT
    assert requests.poll(token, 3.5) is None


def test_a_denied_request_is_no_request_any_more() -> None:
    requests = AppRequests()
    token, request = asked(requests)

    assert requests.decide(request.user_token, None, 1.0)
    assert requests.poll(token, 2.0) is None
    assert requests.pending(2.0) == []


def test_a_request_is_decided_once() -> None:
    requests = AppRequests()
    token, request = asked(requests)

    assert requests.decide(request.user_token, None, 1.0)
    assert not requests.decide(request.user_token, GRANT, 1.0)
    assert requests.poll(token, 1.0) is None


def test_who_decides_does_not_learn_what_the_app_polls_with() -> None:
    requests = AppRequests()
    token, request = asked(requests)

    assert requests.poll(request.user_token, 1.0) is None
    assert requests.find(token, 1.0) is None
    assert token not in repr(request) + repr(vars(requests))


def test_a_request_that_nobody_asks_about_is_dropped() -> None:
    requests = AppRequests()
    token, request = asked(requests)

    assert requests.poll(token, POLL_TIME - 0.1)
    assert requests.pending(2 * POLL_TIME - 0.2) == [request]
    assert requests.pending(2 * POLL_TIME) == []
    assert requests.poll(token, 2 * POLL_TIME) is None
    assert not requests.decide(request.user_token, GRANT, 2 * POLL_TIME)


def test_a_grant_that_nobody_fetches_is_dropped() -> None:
    requests = AppRequests()
    token, request = asked(requests)
    requests.decide(request.user_token, GRANT, 4.0)

    assert requests.poll(token, POLL_TIME) is None


def test_every_request_ends_after_ten_minutes() -> None:
    requests = AppRequests()
    token, _ = asked(requests)

    for second in range(1, int(LONGEST_TIME)):
        assert requests.poll(token, float(second))
    assert requests.poll(token, LONGEST_TIME) is None


def test_only_so_many_wait_at_once() -> None:
    requests = AppRequests()
    for _ in range(MAX_PENDING):
        asked(requests)

    assert requests.ask("one too many", None, "192.0.2.1", 1.0) is None
    assert requests.ask("later", None, "192.0.2.1", POLL_TIME) is not None
