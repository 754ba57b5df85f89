from hypothesis import given
from hypothesis import strategies as st

from limpet.transports.telnet import Telnet


def test_the_rate_is_set_in_four_bytes_and_an_ff_among_them_is_doubled() -> None:
    assert Telnet().rate(250000) == bytes.fromhex("ff fa 2c 01 00 03 d0 90 ff f0")
    assert Telnet().rate(0x00FF00FF) == bytes.fromhex("ff fa 2c 01 00 ff ff 00 ff ff ff f0")


def test_the_greeting_offers_binary_and_com_port_and_sets_the_line() -> None:
    greeting = Telnet().greeting(115200)
    for part in (
        "ff fb 2c",
        "ff fd 2c",
        "ff fb 00",
        "ff fd 00",
        "ff fa 2c 01 00 01 c2 00 ff f0",
        "ff fa 2c 02 08 ff f0",
    ):
        assert bytes.fromhex(part) in greeting


def test_the_lines_are_raised_and_dropped_both() -> None:
    assert Telnet().lines(raised=False) == bytes.fromhex("ff fa 2c 05 09 ff f0 ff fa 2c 05 0c ff f0")
    assert Telnet().lines(raised=True) == bytes.fromhex("ff fa 2c 05 08 ff f0 ff fa 2c 05 0b ff f0")


@given(st.binary(max_size=200), st.integers(1, 7))
def test_payload_comes_through_whatever_it_is_and_in_pieces_of_any_size(payload: bytes, size: int) -> None:
    telnet = Telnet()
    wire = telnet.escape(payload)
    assert b"".join(telnet.receive(wire[n : n + size]) for n in range(0, len(wire), size)) == payload


def test_commands_among_the_payload_are_taken_out() -> None:
    telnet = Telnet()
    wire = b"o" + bytes.fromhex("ff fd 2c") + b"k" + bytes.fromhex("ff fa 2c 65 00 01 c2 00 ff f0") + b"\n"
    assert b"".join(telnet.receive(bytes((byte,))) for byte in wire) == b"ok\n"
    assert telnet.baudrate == 115200
    assert telnet.replies() == b""


def test_what_we_do_not_do_is_refused_once() -> None:
    telnet = Telnet()
    assert telnet.receive(bytes.fromhex("ff fd 18 ff fb 01")) == b""
    assert telnet.replies() == bytes.fromhex("ff fc 18 ff fe 01")
    assert telnet.replies() == b""


def test_a_server_without_the_option_says_so() -> None:
    telnet = Telnet()
    telnet.receive(bytes.fromhex("ff fe 2c"))
    assert telnet.refused


def test_a_subnegotiation_without_an_end_takes_no_memory() -> None:
    telnet = Telnet()
    telnet.receive(b"\xff\xfa" + b"x" * 100_000)
    assert telnet.receive(b"\xff\xf0ok") == b"ok"


@given(st.binary())
def test_nothing_makes_it_raise(data: bytes) -> None:
    telnet = Telnet()
    assert len(telnet.receive(data)) <= len(data)
    telnet.replies()
