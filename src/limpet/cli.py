"""The command line: words in, exit code out (0 done, 1 nothing found, 2 a fault that one line tells).

Each command imports what it needs when it runs: `limpet keys` should not wait for a web server to load.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from limpet import __version__
from limpet.errors import LimpetError

if TYPE_CHECKING:
    from limpet.keys import KeyStore
    from limpet.protocol.virtual_printer import VirtualPrinterOptions
    from limpet.settings_file import SettingsFile
    from limpet.transports.ports import Port


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    try:
        options = _parser(arguments).parse_args(arguments)
        logging.basicConfig(
            level=logging.DEBUG if options.verbose else logging.INFO,
            format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        )
        return int(options.command(options) or 0)
    except LimpetError as error:
        print(f"limpet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


# -- the commands --


def _serve(options: argparse.Namespace) -> None:
    from limpet.files import make_private_folder
    from limpet.keys import KeyStore
    from limpet.service import serve
    from limpet.users import UserStore, new_setup_code

    folder = _data_path(options)
    file = _settings_file(folder, host=options.host, port=options.port)
    settings = file.load()
    keys = KeyStore(folder / "keys.json", extra_key=os.environ.get("LIMPET_API_KEY"))
    keys.list()  # A broken key file is told now, not at the first request.

    users = UserStore(folder / "users.json")
    code = None if users.list() else new_setup_code()

    def announce(address: str) -> None:
        print(f"Limpet {__version__} serves at {address} (data in {folder}); Ctrl-C ends it.", flush=True)
        if not keys.path.exists():
            key = keys.add("admin")
            try:
                print(_first_key(key, address), flush=True)
            except OSError:
                keys.revoke("admin")  # Nobody has seen it.
                raise
        if code is not None:
            print(_first_user(code, address), flush=True)

    make_private_folder(folder)
    asyncio.run(serve(file, settings, keys, users, code, announce))


def _first_key(key: str, address: str) -> str:
    return f"""
This is the first start. Here is your admin API key; it is shown only this once:

    {key}

Give it, with the address, to slicers, apps and home automation as an OctoPrint, or try it:

    curl -H "X-Api-Key: {key}" {address}api/connection

More keys: limpet keys add NAME
"""


def _first_user(code: str, address: str) -> str:
    return f"""There is no user yet. Open {address} in a browser, and set one up with the one-time code {code}
or add one here: limpet users add NAME --admin
"""


def _ports(options: argparse.Namespace) -> int:
    from limpet.transports.ports import PortList, as_json, table

    settings = _settings_file(_data_path(options)).load().ports
    ports = PortList(added=settings.added, ignored=settings.ignored, virtual=settings.virtual, consoles=True).look()
    print(json.dumps(as_json(ports), indent=2) if options.json else table(ports))
    return 0 if ports else 1


def _detect(options: argparse.Namespace) -> int:
    from limpet.printer.detect import find_printers
    from limpet.transports.ports import PortList, by_likelihood
    from limpet.transports.urls import OPENERS

    settings = _settings_file(_data_path(options)).load().ports
    every = PortList(added=(*settings.added, *options.ports), ignored=settings.ignored, virtual=False)
    ports = by_likelihood(every.look())
    if options.ports:
        ports = [_named(ports, name) for name in options.ports]
    if not ports:
        print("There is no port to look at.", file=sys.stderr)
        return 1

    def tell(port: str, what: str) -> None:
        print(f"{port}: {what}", file=sys.stderr, flush=True)

    logging.getLogger("limpet").setLevel(logging.ERROR)
    findings = asyncio.run(find_printers(ports, every, OPENERS, tell, named=bool(options.ports)))
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(f"{finding.port}: {finding.verdict}" for finding in findings))
    return 0 if any(finding.code is None for finding in findings) else 1


def _named(ports: Sequence[Port], name: str) -> Port:
    from limpet.transports.ports import find

    port = find(ports, name)
    if port is None:
        raise LimpetError(f"detect: there is no port {name}; limpet ports lists those there are")
    return port


def _virtual(options: argparse.Namespace) -> None:
    import msgspec

    from limpet.protocol.virtual_printer import VirtualPrinterOptions

    names = [field.name for field in dataclasses.fields(VirtualPrinterOptions)]
    given = {name: value for name in names if (value := getattr(options, name, None)) is not None}
    try:
        printer = msgspec.convert(given, VirtualPrinterOptions)
    except ValueError as error:
        raise LimpetError(f"virtual: {error}") from None
    asyncio.run(_run_virtual(options.link, printer))


async def _run_virtual(link: Path, printer: VirtualPrinterOptions) -> None:
    import signal

    from limpet.transports.pseudo_terminal import serve_virtual_printer

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve_virtual_printer(link, printer, stop=stop, on_event=lambda text: print(text, flush=True))


def _keys_add(options: argparse.Namespace) -> None:
    from limpet.permissions import ADMIN

    permissions = tuple(options.permissions.upper().split(",")) if options.permissions else (ADMIN,)
    key = _key_store(options, create=True).add(options.name, permissions)
    print(f"{key}\n\nThe key {options.name!r}, shown only this once.", flush=True)


def _keys_list(options: argparse.Namespace) -> None:
    keys = _key_store(options).list()
    width = max([len(key.name) for key in keys], default=0)
    for key in keys:
        print(f"{key.name:{width}}  {key.created}  {','.join(key.permissions) or f'as {key.user}'}")


def _keys_revoke(options: argparse.Namespace) -> None:
    _key_store(options).revoke(options.name)
    print(f"The key {options.name!r} is not valid any more.")


def _import_octoprint(options: argparse.Namespace) -> None:
    from limpet.moving_in import move_in

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\ruploads: {done * 100 // max(total, 1)} %", end="", file=sys.stderr, flush=True)

    file = _settings_file(_data_path(options))
    lines = move_in(Path(options.folder), file, dry_run=options.dry_run, progress=progress)
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    for fate, title in (("taken", "Taken over:"), ("there", "There already:"), ("left", "Left:")):
        texts = [line.text for line in lines if line.fate == fate]
        if texts:
            print("\n    ".join((title, *texts)))
    if options.dry_run:
        print("Nothing is written: this was a dry run.")
    else:
        print("A running Limpet goes by the settings when it is started again; users and keys are valid now.")


# -- what they share --


def _data_path(options: argparse.Namespace) -> Path:
    if options.data is not None:
        return Path(options.data).absolute()
    if folder := os.environ.get("LIMPET_DATA"):
        return Path(folder).absolute()
    from platformdirs import user_data_path

    return user_data_path("limpet")


def _settings_file(folder: Path, *, host: str | None = None, port: int | None = None) -> SettingsFile:
    from limpet.settings_file import SettingsFile
    from limpet.transports.ports import parse_added

    added = parse_added(os.environ.get("LIMPET_PORTS", ""))
    return SettingsFile(folder / "limpet.toml", host=host, port=port, added_ports=added)


def _key_store(options: argparse.Namespace, *, create: bool = False) -> KeyStore:
    from limpet.keys import KeyStore

    folder = _data_path(options)
    if create:
        from limpet.files import make_private_folder

        make_private_folder(folder)
    return KeyStore(folder / "keys.json")


class _Parser(argparse.ArgumentParser):
    """One line for a fault, which names its place."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _tcp_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port, 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; 0.0.0.0 stands for every address of this machine")
    return text


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="limpet", description="Finds a 3D printer, holds on to it, and speaks OctoPrint's API.")
    parser.add_argument("--version", action="version", version=f"limpet {__version__}")
    common = _Parser(add_help=False)
    common.add_argument("--data", metavar="DIR", help="data folder (default: $LIMPET_DATA, or the user data folder)")
    common.add_argument("-v", "--verbose", action="store_true", help="log everything, each line on the wire included")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser("serve", parents=[common], help="run the server")
    serve.add_argument("--host", type=_host, help="address to listen on (default: 127.0.0.1, this machine alone)")
    serve.add_argument("--port", type=_tcp_port, help="TCP port to listen on (default: 5000)")
    serve.set_defaults(command=_serve)

    ports = commands.add_parser("ports", parents=[common], help="list the ports and what they are")
    ports.add_argument("--json", action="store_true", help="for programs")
    ports.set_defaults(command=_ports)

    detect = commands.add_parser("detect", parents=[common], help="find printers: what answers at which port and rate")
    detect.add_argument("ports", nargs="*", metavar="PORT", help="ports to look at (default: all but VIRTUAL)")
    detect.add_argument("--json", action="store_true", help="for programs")
    detect.set_defaults(command=_detect)

    virtual = commands.add_parser("virtual", parents=[common], help="run the virtual printer behind a pseudo-terminal")
    virtual.add_argument("--link", type=Path, required=True, metavar="PATH", help="name that the port gets")
    if "virtual" in arguments:  # A hundred options that the other commands need not wait for.
        _add_virtual_options(virtual)
    virtual.set_defaults(command=_virtual)

    keys = commands.add_parser("keys", help="API keys").add_subparsers(metavar="ACTION", required=True)
    add = keys.add_parser("add", parents=[common], help="make a key and show it, once")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--permissions", metavar="LIST", help="comma-separated, such as STATUS,CONNECTION (default: ADMIN)"
    )
    add.set_defaults(command=_keys_add)
    keys.add_parser("list", parents=[common], help="list the keys").set_defaults(command=_keys_list)
    revoke = keys.add_parser("revoke", parents=[common], help="make a key invalid, at once")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(command=_keys_revoke)
    moving = commands.add_parser(
        "import-octoprint", parents=[common], help="take over an OctoPrint, which stays as it is"
    )
    moving.add_argument("folder", metavar="DIR", help="OctoPrint's folder, such as ~/.octoprint")
    moving.add_argument("--dry-run", action="store_true", help="only say what would be done")
    moving.set_defaults(command=_import_octoprint)
    users = commands.add_parser("users", help="who may log in")
    appkeys = commands.add_parser("appkeys", help="apps that ask for a key")
    if {"users", "appkeys"} & {*arguments}:
        from limpet import cli_access

        cli_access.add_users(users, common, _data_path)
        cli_access.add_appkeys(appkeys, common, _data_path, lambda options: _settings_file(_data_path(options)).load())
    return parser


def _add_virtual_options(parser: argparse.ArgumentParser) -> None:
    """An option for each field of the virtual printer."""
    from limpet.protocol.virtual_printer import VirtualPrinterOptions

    group = parser.add_argument_group("the printer, its quirks and its faults")
    for field in dataclasses.fields(VirtualPrinterOptions):
        flags = [f"--{field.name.replace('_', '-')}"] + ["--baud"] * (field.name == "baudrate")
        text = field.metadata["help"].replace("%", "%%")
        default = field.default
        if isinstance(default, bool):
            group.add_argument(*flags, action=argparse.BooleanOptionalAction, default=None, help=text)
        elif isinstance(default, tuple):
            group.add_argument(*flags, action="append", metavar="TEXT", help=f"{text} (may be repeated)")
        else:
            shown = f"{text} (default: {default})" if default not in ("", 0) else text
            group.add_argument(*flags, type=type(default), metavar=type(default).__name__.upper(), help=shown)
