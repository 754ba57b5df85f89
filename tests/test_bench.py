"""The judge of the benchmark's cases: that it believes no host, on what is really plugged in."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import pytest
from bench import hosts, many, report, sockets
from bench.cases import CASES, Case, Printer
from bench.connection import Plan, command
from bench.detection import Outcome, Seen, judge, run_case
from bench.impostors import KINDS, Impostor

LIMPET = Path(sys.executable).with_name("limpet")
LINKS = (Path("/ports/port1"), Path("/ports/port2"))
FIND = Case("a sensor, then a printer", ("sensor", Printer(115200)), reach=3)
TELL = Case("locked", ("locked",), code="port_busy")


def claim(port: str, baudrate: int) -> Seen:
    return Seen(2.0, {"state": "Operational", "port": port, "baudrate": baudrate}, ended=True)


def run(case: Case) -> Outcome:
    return run_case(case, partial(hosts.limpet, LIMPET), LIMPET)


def test_only_the_printers_port_at_its_own_rate_counts_as_found() -> None:
    assert judge(FIND, LINKS, claim("/ports/port2", 115200)) == Outcome(2.0, True)
    wrong_rate = judge(FIND, LINKS, claim("/ports/port2", 250000))
    assert (wrong_rate.good, wrong_rate.label) == (False, "WRONG RATE 250000")
    wrong_device = judge(FIND, LINKS, claim("/ports/port1", 115200))
    assert (wrong_device.good, wrong_device.label) == (False, "WRONG DEVICE")


def test_where_there_is_no_printer_every_claim_is_wrong() -> None:
    assert judge(TELL, LINKS[:1], claim("/ports/port1", 115200)).label == "WRONG DEVICE"


def test_a_failure_must_give_the_reason_that_is_true() -> None:
    closed = {"state": "Offline after error"}
    right = judge(TELL, LINKS[:1], Seen(0.1, closed, True, "port_busy", "/ports/port1 is in use"))
    assert right == Outcome(0.1, True, "port_busy", "'Offline after error': port1 is in use")
    assert not judge(TELL, LINKS[:1], Seen(0.1, closed, True, "no_answer", "nothing")).good
    assert judge(TELL, LINKS[:1], Seen(0.1, closed, True)).label == "no code"
    assert judge(FIND, LINKS, Seen(0.1, closed, True, "port_busy", "")).label == "NOT FOUND (port_busy)"


def test_a_host_that_says_nothing_is_given_up() -> None:
    opening = {"state": "Opening serial connection"}
    assert judge(TELL, LINKS[:1], Seen(45.0, opening, ended=False)).label == "never told"
    assert judge(FIND, LINKS, Seen(65.0, opening, ended=False)).label == "never"


def test_one_bad_round_misses_the_reach_and_stands_in_the_table() -> None:
    good, bad = Outcome(2.0, True), Outcome(1.0, False, "WRONG RATE 9600", "Operational on port2 at 9600")
    met = report.cases_table({FIND: {"Limpet": [good, good], "OctoPrint": [bad]}})
    assert "| a sensor, then a printer | 2.00 | WRONG RATE 9600, 1.00 | at most 3: met |" in met
    assert "- a sensor, then a printer: OctoPrint: Operational on port2 at 9600" in met
    missed = report.cases_table({FIND: {"Limpet": [good, bad, Outcome(2.2, True)]}})
    assert "2 of 3: 2.10; 1 of 3: WRONG RATE 9600, 1.00 | at most 3: MISSED" in missed
    late = report.cases_table({FIND: {"Limpet": [Outcome(3.1, True)]}})
    assert "at most 3: MISSED" in late


def test_socket_clients_are_told_how_things_are() -> None:
    with (
        hosts.running(hosts.limpet(LIMPET)) as server,
        contextlib.closing(HTTPConnection(hosts.ADDRESS, server.port)) as client,
    ):
        command(client, {"command": "connect", "port": "VIRTUAL", "baudrate": 115200})
        with sockets.listening(server, clients=3) as everybody:
            # The virtual printer tells its temperatures every two seconds.
            figures = sockets.measure(server, everybody, 2.5, settle=0.1)

    assert figures["sockets_current"] >= 1
    assert figures["sockets_cpu_s"] < 1


def test_every_case_can_be_told_apart_and_plugged_in() -> None:
    assert len({case.title for case in CASES}) == len(CASES)
    for case in CASES:
        assert sum(isinstance(port, Printer) for port in case.ports) == (case.code in (None, "unplugged"))
        assert all(port in KINDS for port in case.ports if isinstance(port, str))


def test_an_impostor_greets_whoever_opens_it_and_talks_on(tmp_path: Path) -> None:
    sensor = Impostor(KINDS["sensor"], tmp_path / "sensor")
    for now in (0.0, 10.0):
        sensor.tick(now)  # nobody is there: the next one is greeted afresh
        port = os.open(tmp_path / "sensor", os.O_RDWR | os.O_NOCTTY)
        sensor.tick(now + 1)
        sensor.tick(now + 2.5)
        heard = b""
        while heard.count(b"\n") < 3 and select.select([port], [], [], 5)[0]:
            heard += os.read(port, 4096)
        os.close(port)
        assert heard == b"Sensor node starting v1.2\r\n" + 2 * b"ok T 21.3\r\n"


@pytest.mark.parametrize(
    ("rate", "label"), [(115200, ""), (57600, "WRONG RATE 57600")], ids=["a true claim", "a wrong one"]
)
def test_a_run_compares_the_claim_of_a_real_host_with_the_truth(rate: int, label: str) -> None:
    # The last --baud counts: this printer understands any rate, whatever the case holds to be true.
    any_rate = Printer(115200, 0.1, ("--baud", "0"))
    outcome = run(Case("", ("silent", any_rate), named_rate=rate, limit=20))
    assert (outcome.label, outcome.good) == (label, not label), outcome.said


def test_a_locked_port_is_one_to_a_real_host() -> None:
    outcome = run(TELL)
    assert outcome.good, outcome
    assert "in use by python" in outcome.said


def test_a_pulled_printer_comes_back_in_the_same_run() -> None:
    outcome = run(Case("", (Printer(115200, 0.1),), named_rate=115200, then="replug", limit=20))
    assert outcome.good, outcome


def test_many_printers_are_measured_beside_one() -> None:
    plan = Plan(settle=0.0, idle=0.1, load=0.3)
    figures = many.measure(LIMPET, 3, plan, lambda _: None)
    assert 0 < figures["operational_s"] < 20
    table = many.table({1: [figures], 50: [{**figures, "p99_ms": figures["p99_ms"] * 3}]}, plan.idle)
    assert "0.00 a printer, at most 2: met" in table
    assert "3.0×, at most 2×: MISSED" in table
