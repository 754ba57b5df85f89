"""The commands of the virtual printer that have to do with its SD card; see `commands.py`."""

from __future__ import annotations

from limpet.protocol.commands import words_of
from limpet.protocol.virtual.commands import Handler, report_every, text_of
from limpet.protocol.virtual.machine import Machine


def list_files(machine: Machine, command: str) -> None:
    if not machine.card.inserted:
        machine.say("echo:No media")
        return
    words = text_of(command).split()
    machine.say("Begin file list")
    for line in machine.card.listing(long_names="L" in words, timestamps="T" in words):
        machine.say(line)
    machine.say("End file list")


def insert(machine: Machine, _: str) -> None:
    machine.card.inserted = machine.options.sd_card
    machine.say("echo:SD card ok" if machine.card.inserted else "echo:No SD card")


def release(machine: Machine, _: str) -> None:
    machine.card.inserted = False
    machine.card.power_on()
    machine.say("echo:SD card released")


def select(machine: Machine, command: str) -> None:
    name = text_of(command)
    machine.say(f"echo:Now fresh file: {name}")
    size = machine.card.select(name)
    if size is None:
        machine.say(f"open failed, File: {name}.")
    else:
        named = f" {machine.card.selected}" if machine.options.sd_name_in_opened else ""
        machine.say(f"File opened:{named} Size: {size}")
        machine.say("File selected")


def start(machine: Machine, _: str) -> None:
    machine.action("resume")
    if machine.card.selected is not None:
        machine.card.printing = True
        machine.print_began = machine.print_began if machine.card.position else machine.now


def select_and_start(machine: Machine, command: str) -> None:
    select(machine, command)
    start(machine, command)


def pause(machine: Machine, _: str) -> None:
    machine.card.printing = False
    machine.action("paused")


def seek(machine: Machine, command: str) -> None:
    machine.card.position = max(0, int(words_of(command).get("S", 0)))


def report(machine: Machine, command: str) -> None:
    if "S" in words_of(command):
        report_every("card")(machine, command)
    elif "C" in text_of(command):
        name = machine.card.selected
        machine.say(f"Current file: {name or '(no file)'} {machine.card.long_names.get(name or '', '')}".rstrip())
    else:
        machine.say(machine.sd_report())


def begin_writing(machine: Machine, command: str) -> None:
    name = text_of(command)
    machine.say(f"echo:Now fresh file: {name}")
    machine.say(f"Writing to file: {name}" if machine.card.create(name) else f"open failed, File: {name}.")


def delete(machine: Machine, command: str) -> None:
    name = text_of(command)
    machine.say(f"File deleted:{name}" if machine.card.delete(name) else f"Deletion failed, File: {name}.")


def abort(machine: Machine, _: str) -> None:
    machine.card.printing = False
    machine.card.selected = None
    machine.planner.stop()


def print_time(machine: Machine, _: str) -> None:
    seconds = int(machine.now - machine.print_began) if machine.print_began is not None else 0
    machine.say(f"echo:Print time: {seconds}s")


def long_name(machine: Machine, command: str) -> None:
    short = machine.card.find(text_of(command))
    if short is not None:
        machine.say("/" + machine.card.long_names.get(short, short))


HANDLERS: dict[str, Handler] = {
    "M20": list_files,
    "M21": insert,
    "M22": release,
    "M23": select,
    "M24": start,
    "M25": pause,
    "M26": seek,
    "M27": report,
    "M28": begin_writing,
    "M30": delete,
    "M31": print_time,
    "M32": select_and_start,
    "M33": long_name,
    "M524": abort,
}
