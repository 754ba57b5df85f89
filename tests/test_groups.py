from __future__ import annotations

from pathlib import Path

import pytest

from limpet.errors import BadRequest, Conflict, NotFound
from limpet.groups import MAX_GROUPS, GroupStore
from limpet.permissions import ADMINS, GROUPS, Group
from limpet.users import UserStore

MAKERS = Group(key="makers", name="Makers", permissions=("PRINT",), subgroups=("readonly",))


@pytest.fixture
def groups(tmp_path: Path) -> GroupStore:
    return GroupStore(tmp_path / "groups.json")


def test_a_group_may_do_what_its_subgroups_may(groups: GroupStore) -> None:
    groups.add(MAKERS)

    assert groups.permissions_of(["SYSTEM"], ["makers", "gone"]) == {
        "SYSTEM",
        "PRINT",
        *GROUPS["readonly"].permissions,
    }


def test_groups_may_be_parts_of_each_other(groups: GroupStore) -> None:
    groups.add(MAKERS)
    groups.add(Group(key="helpers", name="Helpers", permissions=("CONTROL",), subgroups=("makers",)))
    groups.change("makers", subgroups=("helpers",))

    assert groups.permissions_of((), ["makers"]) == groups.permissions_of((), ["helpers"]) == {"PRINT", "CONTROL"}


def test_what_operators_may_do_can_be_changed_and_nothing_else_of_ours(groups: GroupStore) -> None:
    groups.change("users", permissions=("STATUS",), default=False)

    assert groups.permissions_of((), ["users"]) == {"STATUS"}
    assert groups.defaults() == []
    for key in ("admins", "readonly", "guests"):
        with pytest.raises(Conflict):
            groups.change(key, permissions=())
    for key in GROUPS:
        with pytest.raises(Conflict):
            groups.remove(key)


@pytest.mark.parametrize(
    "group",
    [
        Group(key="../x", name="x"),
        Group(key="x", name="x", permissions=("FLY",)),
        Group(key="x", name="x", permissions=("ADMIN",)),
        Group(key="x", name="x", subgroups=("admins",)),
        Group(key="x", name="x", subgroups=("guests",)),
        Group(key="x", name="x", subgroups=("gone",)),
    ],
)
def test_what_makes_no_sense_or_an_admin_is_refused(groups: GroupStore, group: Group) -> None:
    with pytest.raises(BadRequest):
        groups.add(group)
    assert not groups.path.exists()


def test_there_is_one_of_each_key_and_an_end(groups: GroupStore) -> None:
    for number in range(MAX_GROUPS):
        groups.add(Group(key=f"g{number}", name="x"))
    for key in ("users", "g0", "new"):
        with pytest.raises(Conflict):
            groups.add(Group(key=key, name="x"))
    with pytest.raises(NotFound):
        groups.change("new", default=True)


def test_a_removed_group_leaves_no_trace(groups: GroupStore, tmp_path: Path) -> None:
    users = UserStore(tmp_path / "users.json")
    users.groups.add(MAKERS)
    users.groups.add(Group(key="all", name="All", subgroups=("makers",)))
    users.add("bob", None, groups=("makers", "all"))

    users.remove_group("makers")

    bob = users.get("bob")
    assert bob is not None
    assert bob.groups == ("all",)
    assert users.groups.all()["all"].subgroups == ()
    assert users.permissions_of(bob) == frozenset()


@pytest.mark.parametrize("content", ["{", '[{"key": "x"}]', '[{"key": "x", "name": "x"}, {"key": "x", "name": "y"}]'])
def test_while_the_file_is_broken_no_group_may_do_anything_but_the_admins(groups: GroupStore, content: str) -> None:
    groups.path.write_text(content)

    assert groups.permissions_of(["SYSTEM"], ["users", "readonly", "x"]) == {"SYSTEM"}
    assert groups.permissions_of((), [ADMINS]) == {*GROUPS[ADMINS].permissions}
    groups.path.unlink()
    assert groups.permissions_of((), ["users"]) == {*GROUPS["users"].permissions}


def test_what_another_process_changes_holds_at_once(groups: GroupStore) -> None:
    assert groups.permissions_of((), ["makers"]) == frozenset()
    GroupStore(groups.path).add(MAKERS)
    assert "PRINT" in groups.permissions_of((), ["makers"])
