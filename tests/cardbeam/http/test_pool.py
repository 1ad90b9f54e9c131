"""The connection pool: a connection is given again after a rest, before a timeout, where its server is silent."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.http.pool import IDLE_TIMEOUT_S, MAX_RESTING, REST_S, ConnectionPool, PeerState


@dataclass
class FakeConnection:
    """Says what its test tells it to."""

    state: PeerState = PeerState.SILENT
    is_closed: bool = False

    def peer_state(self) -> PeerState:
        return self.state

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Rig:
    """A pool on a clock that the test moves."""

    now_s: float = 1000.0
    pool: ConnectionPool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ConnectionPool(lambda: self.now_s)


@pytest.mark.parametrize(
    ("waited_s", "is_given", "is_closed"),
    [
        (0.0, False, False),
        (REST_S - 0.01, False, False),
        (REST_S, True, False),
        (IDLE_TIMEOUT_S - 0.01, True, False),
        (IDLE_TIMEOUT_S, False, True),
    ],
)
def test_a_connection_is_given_between_its_rest_and_its_timeout(
    waited_s: float, is_given: bool, is_closed: bool
) -> None:
    """Before, it rests on; after, it is closed."""
    rig, connection = Rig(), FakeConnection()
    rig.pool.release(connection)
    rig.now_s += waited_s
    given = rig.pool.acquire()
    assert ((given is connection), connection.is_closed) == (is_given, is_closed)


@pytest.mark.parametrize("state", [PeerState.CLOSED, PeerState.SPOKE])
def test_one_whose_server_is_gone_or_spoke_is_closed(state: PeerState) -> None:
    """One that spoke costs the trust in all others too, those that rest and those that come."""
    rig = Rig()
    first, second, third = FakeConnection(state), FakeConnection(), FakeConnection()
    rig.pool.release(first)
    rig.pool.release(second)
    rig.now_s += REST_S
    given = rig.pool.acquire()
    rig.pool.release(third)
    spoke = state is PeerState.SPOKE
    assert (given, first.is_closed, second.is_closed, third.is_closed) == (
        None if spoke else second,
        True,
        spoke,
        spoke,
    )


def test_only_so_many_rest() -> None:
    """The next is closed."""
    rig = Rig()
    connections = [FakeConnection() for _ in range(MAX_RESTING + 1)]
    for connection in connections:
        rig.pool.release(connection)
    assert [connection.is_closed for connection in connections] == [False] * MAX_RESTING + [True]


@given(st.lists(st.one_of(st.just("release"), st.just("acquire"), st.floats(0.0, 5.0))))
def test_none_is_given_twice_or_closed_while_it_is_used(steps: list[str | float]) -> None:
    """Whatever the order of events."""
    rig, used = Rig(), [FakeConnection() for _ in range(3)]
    for step in steps:
        if isinstance(step, float):
            rig.now_s += step
        elif step == "release" and used:
            rig.pool.release(used.pop())
        elif step == "acquire" and (given := rig.pool.acquire()) is not None:
            assert isinstance(given, FakeConnection) and given not in [one for one in used if one is given]
            used.append(given)
        assert not any(one.is_closed for one in used)
