"""Frames read many at a time are the frames that were sent, however the network cuts them."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from struct import pack
from typing import Any

import pytest
from amqp.exceptions import UnexpectedFrame
from hypothesis import given
from hypothesis import strategies as st

from ctrader_app.consumers.stream import readahead
from ctrader_app.consumers.stream.readahead import Frame, transport_for

LIMIT_S = 0.001

payloads = st.lists(st.binary(max_size=300), min_size=1, max_size=8)


@contextmanager
def wire(limit_s: float | None = LIMIT_S) -> Iterator[tuple[socket.socket, Any]]:
    """The broker's end of a connection and the transport at ours."""
    theirs, ours = socket.socketpair()
    transport = readahead._Tcp("localhost", None)
    with theirs, ours:
        transport.sock = ours
        transport._setup_transport()
        transport._quick_recv.limit_s = limit_s
        yield theirs, transport
        transport.sock = None


def sent(payload: bytes, end: bytes = b"\xce") -> bytes:
    """A frame of channel 1, as it travels."""
    return pack(">BHI", 3, 1, len(payload)) + payload + end


def frames_there(transport: Any) -> list[Frame]:
    """What can be read until time is up."""
    found = []
    while True:
        try:
            found.append(transport.read_frame())
        except TimeoutError:
            return found


@given(payloads, st.data())
def test_whatever_the_cuts_every_frame_comes_once_and_in_order(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent(body) for body in bodies)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5).map(sorted))
    with wire() as (theirs, transport):
        found = []
        for start, end in pairwise([0, *cuts, len(stream)]):
            theirs.sendall(stream[start:end])
            found += frames_there(transport)
    assert [(kind, channel, bytes(payload)) for kind, channel, payload in found] == [(3, 1, body) for body in bodies]


@given(payloads, st.integers(1, 50))
def test_frames_longer_than_one_fetch_are_whole(bodies: list[bytes], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch, wire() as (theirs, transport):
        patch.setattr(readahead, "AT_ONCE", at_once)
        theirs.sendall(b"".join(sent(body) for body in bodies))
        found = frames_there(transport)
    assert [bytes(payload) for _, _, payload in found] == bodies


def test_a_frame_that_does_not_end_as_it_should_is_an_error() -> None:
    with wire() as (theirs, transport):
        theirs.sendall(sent(b"whole") + sent(b"broken", end=b"\x00"))
        assert bytes(transport.read_frame()[2]) == b"whole"
        with pytest.raises(UnexpectedFrame):
            transport.read_frame()


def test_the_end_of_the_connection_is_an_error_and_not_silence() -> None:
    with wire(limit_s=5) as (theirs, transport):
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(OSError, match="closed"):
            transport.read_frame()


@pytest.mark.parametrize("url", ["amqps://host//", "memory://"])
def test_other_transports_stay_as_they_are(url: str) -> None:
    assert transport_for(url) is None
