"""`limpet users` and `limpet appkeys`: who may do what, from the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from limpet.errors import BadRequest, LimpetError
from limpet.files import make_private_folder
from limpet.keys import KeyStore
from limpet.permissions import ADMINS, USERS
from limpet.settings import Settings
from limpet.users import MAX_PASSWORD, UserStore

ANSWER_TIME = 10.0
"""Seconds that the server is waited for."""

DataPath = Callable[[argparse.Namespace], Path]
Load = Callable[[argparse.Namespace], Settings]


def add_users(parser: argparse.ArgumentParser, common: argparse.ArgumentParser, data_path: DataPath) -> None:
    """What `limpet users` understands."""

    def does(act: Callable[[argparse.Namespace, UserStore], None]) -> dict[str, Any]:
        return {"command": lambda options: act(options, UserStore(data_path(options) / "users.json"))}

    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add = actions.add_parser("add", parents=[common], help="add a user; asks for a password, or reads it from a pipe")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--admin", action="store_true", help="may do everything (the group admins)")
    add.add_argument(
        "--groups", metavar="LIST", help="comma-separated: admins, users, readonly, or your own (default: users)"
    )
    add.add_argument("--permissions", metavar="LIST", help="comma-separated, besides those of the groups")
    add.set_defaults(**does(_add))
    actions.add_parser("list", parents=[common], help="list the users").set_defaults(**does(_list))
    for name, act, text in (
        ("passwd", _passwd, "give a user a new password, which ends his sessions"),
        ("remove", _remove, "remove a user and his keys"),
    ):
        action = actions.add_parser(name, parents=[common], help=text)
        action.add_argument("name", metavar="NAME")
        action.set_defaults(**does(act))


def _add(options: argparse.Namespace, users: UserStore) -> None:
    groups = _words(options.groups) or ([] if options.admin or options.permissions else [USERS])
    permissions = [word.upper() for word in _words(options.permissions)]
    make_private_folder(users.path.parent)
    users.add(
        options.name, _password(), groups=[*groups, *([ADMINS] if options.admin else [])], permissions=permissions
    )
    print(f"The user {options.name!r} may log in.")


def _list(_: argparse.Namespace, users: UserStore) -> None:
    everybody = users.list()
    width = max([len(user.name) for user in everybody], default=0)
    for user in everybody:
        state = "" if user.active and user.password else "  (no password)" if user.active else "  (not active)"
        print(f"{user.name:{width}}  {user.created}  {','.join((*user.groups, *user.permissions)) or '-'}{state}")


def _passwd(options: argparse.Namespace, users: UserStore) -> None:
    if all(user.name != options.name for user in users.list()):
        raise BadRequest(f"there is no user named {options.name!r}")
    users.set_password(options.name, _password())
    print(f"The user {options.name!r} has a new password.")


def _remove(options: argparse.Namespace, users: UserStore) -> None:
    if all(user.name != options.name for user in users.list()):
        raise BadRequest(f"there is no user named {options.name!r}")
    users.remove(options.name, even_the_last_admin=True)
    KeyStore(users.path.with_name("keys.json")).revoke_all(lambda key: key.user == options.name)
    print(f"The user {options.name!r} is removed, and his keys with him.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(MAX_PASSWORD + 2).rstrip("\r\n")
    from getpass import getpass

    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise BadRequest("the two passwords differ")
    return password


def _words(text: str | None) -> list[str]:
    return text.split(",") if text else []


# -- apps that ask for a key --


def add_appkeys(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser, data_path: DataPath, load: Load
) -> None:
    """What `limpet appkeys` understands."""

    def does(act: Callable[[argparse.Namespace, _Server], int]) -> dict[str, Any]:
        def command(options: argparse.Namespace) -> int:
            url = options.url or _address(load(options))
            with _server(url, KeyStore(data_path(options) / "keys.json")) as server:
                return act(options, server)

        return {"command": command}

    actions = parser.add_subparsers(metavar="ACTION", required=True)
    waiting = actions.add_parser("list", parents=[common], help="list the apps that wait")
    approve = actions.add_parser("approve", parents=[common], help="let an app have a key")
    approve.add_argument("token", metavar="TOKEN", help="as limpet appkeys list shows it")
    approve.add_argument(
        "--user", metavar="NAME", help="may do what this user may (default: the one it names, else everything)"
    )
    approve.add_argument("--permissions", metavar="LIST", help="may do this alone, such as STATUS,PRINT")
    deny = actions.add_parser("deny", parents=[common], help="let an app have no key")
    deny.add_argument("token", metavar="TOKEN", help="as limpet appkeys list shows it")
    for action, act in ((waiting, _list_apps), (approve, _approve), (deny, _deny)):
        action.add_argument("--url", help="the server's address (default: as the settings have it)")
        action.set_defaults(**does(act))


def _list_apps(_: argparse.Namespace, server: _Server) -> int:
    pending = server.ask("GET", "/api/plugin/appkeys")["pending"]
    for token, request in pending.items():
        whom = f" for {request['user_id']}" if request["user_id"] else ""
        print(f"{token}  {request['app_id']}{whom}, at {request['remote_address']}")
    return 0 if pending else 1


def _approve(options: argparse.Namespace, server: _Server) -> int:
    decision: dict[str, Any] = {"decision": True}
    if options.user:
        decision["user"] = options.user
    if options.permissions:
        decision["permissions"] = [word.upper() for word in _words(options.permissions)]
    server.decide(options.token, decision)
    print("It gets its key when it asks again, within some seconds.")
    return 0


def _deny(options: argparse.Namespace, server: _Server) -> int:
    server.decide(options.token, {"decision": False})
    print("It gets no key.")
    return 0


class _Server:
    """The running one, asked with a key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = key

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's content. Raises LimpetError with the words of a refusal."""
        parts = urlsplit(self._url)
        try:
            connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=ANSWER_TIME)
            headers = {"X-Api-Key": self._key, "Content-Type": "application/json"}
            content = None if body is None else json.dumps(body)
            connection.request(method, parts.path.rstrip("/") + path, content, headers)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            told = json.loads(text) if text else None
        except (OSError, HTTPException, ValueError) as error:
            raise LimpetError(f"appkeys: no Limpet answers at {self._url} ({error}); name it with --url") from None
        if answer.status >= 400:
            raise LimpetError(f"appkeys: {told.get('error') if isinstance(told, dict) else answer.reason}")
        return told

    def decide(self, token: str, decision: dict[str, Any]) -> None:
        pending = self.ask("GET", "/api/plugin/appkeys")["pending"]
        if token.upper() not in pending:
            raise LimpetError(f"appkeys: no app waits as {token!r}; limpet appkeys list shows those that do")
        self.ask("POST", f"/plugin/appkeys/decision/{quote(token.upper(), safe='')}", decision)


@contextmanager
def _server(url: str, keys: KeyStore) -> Iterator[_Server]:
    """Whoever may write the file of keys may do everything: here with a key that lasts for one command."""
    name = f"limpet appkeys ({os.getpid()})"
    if not keys.path.exists():
        raise LimpetError(f"appkeys: there are no keys in {keys.path.parent}; name the server's folder with --data")
    key = keys.add(name)
    try:
        yield _Server(url, key)
    finally:
        keys.revoke(name)


def _address(settings: Settings) -> str:
    host, port = settings.server.host, settings.server.port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
