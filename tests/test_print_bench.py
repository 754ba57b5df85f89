"""The parts of the print benchmark: a printer in C that judges what arrives, the file, the table."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bench import hosts, longest, many_prints, moves, report
from bench.printing import File, file_of, judge, measure, over_api
from bench.simulator import Board, Simulator, Told, build, compiler, simulated
from bench.trials import OCTOPRINT, ONE, TRIALS, WINDOW

from limpet.protocol.commands import number_line

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

LIMPET = Path(sys.executable).with_name("limpet")
COUNT = 300
TOLD = Told("done", 20, 10, 77, 400, 0.5, 0.5, 9, 50.0, 60.0, 70.0, 0, 0.0, 0, 0, 0, 0, 0, 0.0)
FAST = TRIALS[0]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("printer"))


class Talk:
    """A host that says what it is told to say."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.port = os.open(simulator.link, os.O_RDWR | os.O_NOCTTY)
        self._heard = b""

    def write(self, *lines: bytes) -> None:
        os.write(self.port, b"".join(lines))

    def hear(self, within: float = 5.0) -> str | None:
        """The next line; None when there is none within so many seconds."""
        while b"\n" not in self._heard:
            if not select.select([self.port], [], [], within)[0]:
                return None
            self._heard += os.read(self.port, 65536)
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def answers(self, *lines: bytes) -> list[str | None]:
        """All that is said up to the ok."""
        self.write(*lines)
        said: list[str | None] = []
        while not said or not (said[-1] is None or said[-1].startswith("ok")):
            said.append(self.hear())
        return said


@pytest.fixture
def talk(program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Talk]:
    board = getattr(request, "param", Board())
    with simulated(program, tmp_path / "port", board, COUNT) as simulator:
        talk = Talk(simulator)
        yield talk
        os.close(talk.port)


def numbered(count: int) -> list[bytes]:
    return [number_line(n + 1, move) for n, move in enumerate(moves.moves(count))]


def test_the_printer_has_the_hash_of_the_file_when_all_of_it_has_arrived(talk: Talk, tmp_path: Path) -> None:
    file = file_of(tmp_path, COUNT)
    for line in numbered(COUNT):
        assert talk.answers(line) == ["ok"]
    told = talk.simulator.wait("done", 5)
    assert told is not None
    assert (told.moves, told.crc, told.turns) == (COUNT, file.crc, COUNT - 1)
    assert told.move_bytes == sum(map(len, numbered(COUNT)))


def test_a_missing_move_shows_in_the_hash(talk: Talk, tmp_path: Path) -> None:
    file = file_of(tmp_path, COUNT)
    for n, move in enumerate([*list(moves.moves(COUNT))[1:], "G1 X1"]):
        talk.answers(number_line(n + 1, move))
    told = talk.simulator.wait("done", 5)
    assert told is not None
    assert judge(told, Board(), file, 1.0)["whole"] == -1


def test_the_file_holds_the_moves_and_comments_between(tmp_path: Path) -> None:
    file = file_of(tmp_path, COUNT)
    lines = file.path.read_text().splitlines()
    assert [line.partition(" ;")[0] for line in lines if line.startswith("G1")] == list(moves.moves(COUNT))
    assert sum(line.startswith(";") for line in lines) > 5
    assert len(set(moves.moves(5000))) == 5000


def test_the_printer_answers_as_marlin_does(talk: Talk) -> None:
    assert talk.answers(b"\nN0 M110 N0*125\n") == ["ok"]
    assert "FIRMWARE_NAME:Marlin" in (talk.answers(b"M115\n")[0] or "")
    assert talk.answers(number_line(1, "M105")) == ["ok T:210.04 /210.00 B:60.02 /60.00 @:64 B@:31"]
    assert talk.answers(number_line(3, "G1 X1")) == [
        "Error:Line Number is not Last Line Number+1, Last Line: 1",
        "Resend: 2",
        "ok",
    ]
    assert talk.answers(b"N2 G1 X1*1\n") == ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]
    assert talk.answers(b"N2 G1 X1\n") == ["Error:No Checksum with line number, Last Line: 1", "Resend: 2", "ok"]
    assert talk.answers(number_line(2, "G1 X1")) == ["ok"]
    told = talk.simulator.ask()
    assert (told.moves, told.resends, told.bad_lines) == (1, 3, 1)


def test_it_throws_away_what_it_has_received_behind_a_bad_line(talk: Talk) -> None:
    assert talk.answers(number_line(2, "G1 X1"), number_line(3, "G1 X2"))[1] == "Resend: 1"
    assert talk.answers(number_line(1, "G1 X0")) == ["ok"]
    assert talk.simulator.ask().resends == 1


@pytest.mark.parametrize("talk", [Board(planner=16, move_ms=60_000, advanced_ok=True)], indirect=True)
def test_it_tells_how_much_room_there_is_and_holds_back_its_ok_when_there_is_none(talk: Talk) -> None:
    lines = numbered(17)
    assert talk.answers(lines[0]) == ["ok N1 P15 B3"]
    for line in lines[1:15]:
        talk.answers(line)
    assert talk.answers(lines[15]) == ["ok N16 P0 B3"]
    talk.write(lines[16])
    assert talk.hear(0.1) is None
    assert talk.simulator.ask().moves == 16


@pytest.mark.parametrize("talk", [Board(planner=4, move_ms=2)], indirect=True)
def test_it_counts_how_often_its_planner_runs_dry_and_for_how_long(talk: Talk) -> None:
    lines = numbered(8)
    for line in lines[:4]:
        talk.answers(line)
    assert talk.answers(number_line(5, "M400")) == ["ok"]
    assert talk.simulator.ask().dry == 1
    for line in (number_line(n + 6, f"G1 X{n}") for n in range(4)):
        talk.answers(line)
    assert talk.answers(number_line(10, "M400")) == ["ok"]
    told = talk.simulator.ask()
    assert told.dry == 2
    assert told.dry_ms > 0


@pytest.mark.parametrize("talk", [Board(baudrate=9600, wire=True, latency_ms=5)], indirect=True)
def test_the_wire_takes_its_time_both_ways(talk: Talk) -> None:
    lines = numbered(20)
    talk.write(*lines)
    for _ in lines:
        assert talk.hear() == "ok"
    told = talk.simulator.ask()
    bits = 10 * sum(map(len, lines[1:]))
    assert told.seconds == pytest.approx(bits / 9600, rel=0.01)
    figures = judge(replace(told, event="done"), Board(baudrate=9600), File(Path(), COUNT, 0), 0.0)
    assert figures["wire_share"] == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("talk", [Board(rx=64, queue=1, planner=1, move_ms=60_000)], indirect=True)
def test_a_receive_buffer_that_is_full_loses_what_comes(talk: Talk) -> None:
    talk.write(*numbered(10))
    assert talk.hear() == "ok"
    assert talk.simulator.ask().overflow > 100


@pytest.mark.parametrize(
    ("talk", "lost"),
    [(Board(drop_lines=1), (1, 0)), (Board(drop_oks=1), (0, 1))],
    ids=["lines", "oks"],
    indirect=["talk"],
)
def test_lines_and_oks_get_lost_as_wished(talk: Talk, lost: tuple[int, int]) -> None:
    talk.write(numbered(1)[0])
    assert talk.hear(0.1) is None
    told = talk.simulator.ask()
    assert (told.lost_lines, told.lost_oks, told.moves) == (*lost, lost[1])


@pytest.mark.parametrize("talk", [Board(drop_lines=0.1, seed=seed) for seed in (1, 2)], indirect=True)
def test_about_so_many_get_lost_and_not_the_first(talk: Talk) -> None:
    first, *others = (f"{move}\n".encode() for move in moves.moves(COUNT))
    assert talk.answers(first) == ["ok"]
    talk.write(*others, b"M105\n")
    while talk.hear() == "ok":
        pass  # The last is that of M105, which says more.
    assert 10 <= talk.simulator.ask().lost_lines <= 60


@pytest.mark.parametrize("talk", [Board(corrupt_lines=1)], indirect=True)
def test_a_corrupted_line_is_asked_for_again(talk: Talk) -> None:
    assert talk.answers(numbered(1)[0])[1:] == ["Resend: 1", "ok"]


@pytest.mark.parametrize("talk", [Board(corrupt_lines=1, double_oks=1, mute_resends=True)], indirect=True)
def test_an_ok_comes_twice_or_not_after_a_resend_as_wished(talk: Talk) -> None:
    talk.write(numbered(1)[0])
    assert [talk.hear(), talk.hear(), talk.hear(0.1)][1:] == ["Resend: 1", None]
    talk.write(b"G1 X1 Y1 Z1\n")
    assert [talk.hear(), talk.hear()] == ["ok", "ok"]


def test_only_the_very_moves_of_the_file_count_as_whole() -> None:
    file = File(Path(), 10, 77)
    figures = judge(TOLD, Board(), file, 0.001)
    assert (figures["whole"], figures["lines_per_s"], figures["cpu_us_per_line"]) == (1, 18, 100)
    assert judge(replace(TOLD, crc=78), Board(), file, 0.001)["whole"] == -1
    unfinished = judge(replace(TOLD, event="asked", moves=9, since_first=8.0), Board(), file, 0.001)
    assert (unfinished["whole"], unfinished["lines_per_s"]) == (0, 1)


def test_the_table_says_what_is_missed_and_what_did_not_arrive() -> None:
    def figures(lines_per_s: float, whole: float = 1) -> dict[str, float]:
        return {**judge(TOLD, Board(), File(Path(), 10, 77), 0.001), "lines_per_s": lines_per_s, "whole": whole}

    columns = [WINDOW, ONE, OCTOPRINT]
    fine = report.trials_table({FAST: {ONE: [figures(3100)], OCTOPRINT: [figures(1000)]}}, columns)
    assert "| as fast as it goes: lines/s |  | 3,100 | 1,000 | at least 3× OctoPrint's: met |" in fine
    assert "at most 1/4 of OctoPrint's: MISSED" in fine
    assert "Every print arrived whole." in fine
    bad = report.trials_table({FAST: {ONE: [figures(2900, -1)], OCTOPRINT: [figures(1000, 0)]}}, columns)
    assert "at least 3× OctoPrint's: MISSED" in bad
    assert f"- as fast as it goes: {ONE}: OTHER MOVES than in the file after 10 moves" in bad
    assert "- as fast as it goes: OctoPrint: not at its end after 10 moves" in bad


def test_a_printer_that_cannot_keep_pace_misses_the_reach_of_many() -> None:
    figures = {"slowest": 149.0, "median": 150.0, "whole": 32.0, "dry": 0.0}
    figures |= {"turn_p99_us": 900.0, "cpu": 0.5, "cpu_us_per_line": 100.0}
    assert "at least 148.5: met" in many_prints.table([figures])
    assert "at least 148.5: MISSED" in many_prints.table([{**figures, "slowest": 120.0}])


def test_a_print_of_a_real_host_is_watched_to_its_end(program: Path, tmp_path: Path) -> None:
    begin = over_api(lambda port: hosts.limpet(LIMPET, [port]))
    figures = measure(begin, program, Board(), file_of(tmp_path, COUNT), limit=30)
    assert (figures["whole"], figures["moves"], figures["resends"]) == (1, COUNT, 0)
    assert figures["cpu_us_per_line"] < 10_000


def test_many_prints_in_one_limpet_arrive_whole() -> None:
    figures = many_prints.measure(LIMPET, count=3, moves=COUNT)
    assert figures["whole"] == 3


def test_it_is_timed_how_long_the_loop_is_held_up() -> None:
    found = longest.measure(2, files=3)
    assert found["moves"] > 500
    assert sum(found["cpu"].values()) > 500
    assert "CPU time of its own" in longest.table(found)
