from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import pytest

from limpet.errors import BadRequest, Conflict, NotFound
from limpet.permissions import GROUPS, PERMISSIONS
from limpet.users import MAX_PASSWORD, MAX_SETTINGS, MAX_USERS, UserStore, new_setup_code

PASSWORD = "correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.json"


@pytest.fixture
def users(path: Path) -> UserStore:
    return UserStore(path)


def test_a_user_is_known_by_name_and_password_alone(users: UserStore) -> None:
    users.add("ada", PASSWORD)

    user = users.verify("ada", PASSWORD)

    assert user is not None
    assert user.name == "ada"
    for name, password in (("ada", "correct horsE"), ("Ada", PASSWORD), ("ada", ""), ("bob", PASSWORD), ("", "")):
        assert users.verify(name, password) is None


def test_a_password_is_kept_as_a_salted_slow_hash(users: UserStore, path: Path) -> None:
    users.add("ada", PASSWORD)
    users.add("bob", PASSWORD)

    text = path.read_text()

    assert PASSWORD not in text
    assert len({user.password for user in users.list()}) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_unknown_user_costs_as_much_as_a_wrong_password(users: UserStore) -> None:
    users.add("ada", PASSWORD)
    users.add("off", PASSWORD, active=False)

    def cost(name: str) -> float:
        started = time.process_time()
        users.verify(name, "a wrong one")
        return time.process_time() - started

    costs = {name: statistics.median(cost(name) for _ in range(5)) for name in ("ada", "off", "nobody")}

    assert max(costs.values()) < 2 * min(costs.values())


def test_the_same_password_typed_as_other_characters_is_the_same(users: UserStore) -> None:
    users.add("ada", "Grüße aus Köln")

    assert users.verify("ada", "Gru\u0308ße aus Ko\u0308ln") is not None


def test_who_is_not_active_or_has_no_password_cannot_log_in(users: UserStore, path: Path) -> None:
    users.add("ada", PASSWORD, active=False)
    assert users.verify("ada", PASSWORD) is None

    path.write_text(json.dumps([{"name": "ada"}]))
    assert users.get("ada") is not None
    for password in ("", PASSWORD, "0" * 64):
        assert users.verify("ada", password) is None


def test_a_user_without_a_password_cannot_log_in_until_he_has_one(users: UserStore) -> None:
    users.add("ada", None)
    assert not any(users.verify("ada", password) for password in ("", "None", PASSWORD))

    users.set_password("ada", PASSWORD)

    assert users.verify("ada", PASSWORD) is not None


def test_a_user_may_do_what_he_and_his_groups_may(users: UserStore) -> None:
    users.add("ada", PASSWORD, groups=("readonly",), permissions=("CONNECTION",))
    user = users.get("ada")

    assert user is not None
    assert users.permissions_of(user) == {"CONNECTION", *GROUPS["readonly"].permissions}
    assert not user.is_admin


@pytest.mark.parametrize(
    "name", ["", " ada", "ada ", "_api", ".", "..", "a/b", "a:b", "a\nb", "a" * 65, "\ud800", "é\0"]
)
def test_a_bad_name_is_refused(users: UserStore, path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="the name of a user"):
        users.add(name, PASSWORD)
    assert not path.exists()


@pytest.mark.parametrize("name", ["a", "ada", "Ada Lovelace", "ada@example.com", "Zoë", "小明", "7", "a.b+c-d_e"])
def test_a_name_may_be_of_any_language(users: UserStore, name: str) -> None:
    users.add(name, PASSWORD)
    assert users.get(name) is not None


@pytest.mark.parametrize("password", ["", "1234567", "x" * (MAX_PASSWORD + 1)])
def test_a_password_that_is_too_short_or_too_long_is_refused(users: UserStore, password: str) -> None:
    with pytest.raises(BadRequest, match="8 to 256 characters"):
        users.add("ada", password)


def test_a_password_that_is_no_text_is_no_password(users: UserStore) -> None:
    users.add("ada", PASSWORD)
    assert users.verify("ada", "\ud800") is None


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"groups": ("wizards",)}, "no group 'wizards'"),
        ({"groups": ("guests",)}, "no group 'guests'"),
        ({"permissions": ("FLY",)}, "no permission 'FLY'"),
    ],
)
def test_an_unknown_group_or_permission_is_refused(
    users: UserStore, words: dict[str, tuple[str, ...]], fault: str
) -> None:
    with pytest.raises(BadRequest, match=fault):
        users.add("ada", PASSWORD, **words)  # type: ignore[arg-type]


def test_a_name_is_given_once(users: UserStore) -> None:
    users.add("ada", PASSWORD)
    with pytest.raises(Conflict, match='a user named "ada" already'):
        users.add("ada", "another horse")


def test_only_one_can_be_the_first(users: UserStore, path: Path) -> None:
    users.add("ada", PASSWORD, only_as_first=True)
    with pytest.raises(Conflict, match="a user already"):
        UserStore(path).add("eve", PASSWORD, only_as_first=True)


def test_there_is_a_limit_to_the_number_of_users(users: UserStore, path: Path) -> None:
    path.write_text(json.dumps([{"name": f"user {number}"} for number in range(MAX_USERS)]))
    with pytest.raises(Conflict, match="200 users already"):
        users.add("one too many", PASSWORD)


def test_what_is_not_named_stays_as_it_is(users: UserStore) -> None:
    users.add("ada", PASSWORD, groups=("users",), permissions=("SYSTEM",))
    users.change("ada", groups=("readonly", "readonly"))
    user = users.get("ada")

    assert user is not None
    assert (user.groups, user.permissions, user.active) == (("readonly",), ("SYSTEM",), True)
    assert users.verify("ada", PASSWORD)


def test_a_new_password_takes_the_place_of_the_old_one(users: UserStore) -> None:
    users.add("ada", PASSWORD)
    users.set_password("ada", "another horse")

    assert users.verify("ada", PASSWORD) is None
    assert users.verify("ada", "another horse")


def test_the_last_admin_stays_unless_it_is_meant(users: UserStore) -> None:
    users.add("ada", PASSWORD, groups=("admins",))
    users.add("bob", PASSWORD, groups=("admins",), active=False)
    users.add("eve", PASSWORD, groups=("users",))
    for act in (
        lambda: users.remove("ada"),
        lambda: users.change("ada", active=False),
        lambda: users.change("ada", groups=()),
    ):
        with pytest.raises(Conflict, match="the last user who is an admin"):
            act()

    users.change("eve", permissions=("ADMIN",))
    users.remove("ada")
    users.remove("eve", even_the_last_admin=True)

    assert [user.name for user in users.list()] == ["bob"]


def test_whoever_is_not_there_cannot_be_changed(users: UserStore) -> None:
    for act in (
        lambda: users.remove("ada"),
        lambda: users.change("ada", active=True),
        lambda: users.set_password("ada", PASSWORD),
        lambda: users.set_settings("ada", {}),
    ):
        with pytest.raises(NotFound, match='no user named "ada"'):
            act()


def test_what_clients_keep_with_a_user_is_merged_and_limited(users: UserStore) -> None:
    users.add("ada", PASSWORD)
    users.set_settings("ada", {"a": 1, "b": {"c": []}})
    users.set_settings("ada", {"a": None})
    with pytest.raises(BadRequest, match="at most 4096 bytes"):
        users.set_settings("ada", {"x": "x" * MAX_SETTINGS})
    with pytest.raises(BadRequest, match="settings are invalid"):
        users.set_settings("ada", {"x": "\ud800"})
    user = users.get("ada")

    assert user is not None
    assert user.settings == {"a": None, "b": {"c": []}}


def test_what_another_process_changes_holds_at_once(users: UserStore, path: Path) -> None:
    other = UserStore(path)
    assert users.get("ada") is None
    other.add("ada", PASSWORD)
    assert users.get("ada") is not None
    other.remove("ada", even_the_last_admin=True)
    assert users.get("ada") is None


def test_in_a_broken_file_there_is_no_user_and_no_room_for_a_first_one(
    users: UserStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not users.any()
    users.add("ada", PASSWORD)
    path.write_text("[")

    assert users.get("ada") is None
    assert users.any()
    assert "no user is valid" in caplog.text


def test_a_setup_code_can_be_read_aloud_and_is_another_one_each_time() -> None:
    codes = {new_setup_code() for _ in range(100)}

    assert len(codes) == 100
    assert all(len(code) == 9 and not set(code) & set("01IOL") for code in codes)


def test_groups_have_permissions_that_there_are() -> None:
    assert all(PERMISSIONS.keys() >= set(group.permissions) for group in GROUPS.values())
    assert GROUPS["guests"].permissions == ()
    assert "ADMIN" not in GROUPS["users"].permissions
    assert all(len(permission.description) > 10 for permission in PERMISSIONS.values())
