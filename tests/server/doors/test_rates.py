"""Token buckets, and what the server limits by them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quart.typing import TestClientProtocol as Client
from trio.testing import MockClock

from agent.config import Settings
from server.doors.rates import Rates, client_of
from tests.server.doors.test_doors import KEY, bearer, ticket
from tests.server.helpers import OWN_KEY, make_app

STOP = b'{"channel_name": "room"}'


@given(
    st.integers(1, 600),
    st.integers(1, 20),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=120),
)
def test_a_bucket_gives_what_it_holds_and_no_more(
    per_minute: int, burst: int, asked: list[tuple[str, int]]
) -> None:
    # In tenths of a second; two who share nothing. Beside it the bucket as one would draw it.
    rates, now = Rates(per_minute, burst), 0.0
    level, at = {"a": float(burst), "b": float(burst)}, {"a": 0.0, "b": 0.0}
    for who, tenths in asked:
        now += tenths / 10
        level[who] = min(burst, level[who] + (now - at[who]) * per_minute / 60)
        at[who] = now
        wait_s = rates.take(who, now)
        if wait_s:
            missing = 1 - level[who]
            assert wait_s == pytest.approx(missing * 60 / per_minute, abs=1e-6)
        else:
            assert level[who] >= 1 - 1e-6
            level[who] -= 1


@given(st.integers(1, 600), st.integers(1, 20))
def test_who_waits_as_told_is_let_in(per_minute: int, burst: int) -> None:
    rates = Rates(per_minute, burst)
    assert [rates.take("a", 5.0) for _ in range(burst)] == [0] * burst
    wait_s = rates.take("a", 5.0)
    assert 0 < wait_s <= 60 / per_minute
    assert rates.take("a", 5.0 + math.ceil(wait_s)) == 0


def test_without_a_rate_there_is_no_limit() -> None:
    rates = Rates(0, 1)
    assert not any(rates.take("a", 1.0) for _ in range(1000))


def test_no_number_of_clients_fills_the_memory() -> None:
    rates = Rates(1, 1, most=10)
    for number in range(1000):
        assert rates.take(number, 0.0) == 0
        # One that goes on trying is not forgotten.
        assert bool(rates.take("a", 0.0)) is (number > 0)
    assert len(rates._full_at) == 10


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("a", "b", False),
    ],
)
def test_whom_an_address_stands_for(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same


def a_client(per_minute: int = 60, burst: int = 8) -> Client:
    settings = Settings(
        openai_api_key="k",
        server_api_key=KEY,
        rate_limit_per_minute=per_minute,
        rate_limit_burst=burst,
    )
    return make_app(settings, clock=lambda: 1_800_000_000).test_client()


async def start(client: Client, key: str, name: str = "room") -> tuple[int, int]:
    """Ask for an agent without a uid, which is no request to run out of; status and the wait."""
    body = b'{"channel_name": "%b"}' % name.encode()
    response = await client.post("/start_agent", headers=bearer(key), data=body)
    if response.status_code == 429:
        assert (await response.get_json())["code"] == "rate_limited"
    return response.status_code, int(response.headers.get("Retry-After", 0))


async def test_a_key_is_limited_and_the_servers_own_is_not(autojump_clock: MockClock) -> None:
    client = a_client()
    assert [await start(client, KEY) for _ in range(9)] == [(400, 0)] * 8 + [(429, 1)]
    assert [await start(client, OWN_KEY) for _ in range(9)] == [(400, 0)] * 9
    # What starts nothing goes on.
    response = await client.post("/stop_agent", headers=bearer(KEY), data=STOP)
    assert response.status_code == 404
    autojump_clock.jump(1)
    assert [await start(client, KEY) for _ in range(2)] == [(400, 0), (429, 1)]


@pytest.mark.parametrize("path", ["/tickets", "/agora_token"])
async def test_all_that_gives_the_means_is_limited(path: str, autojump_clock: MockClock) -> None:
    client = a_client(burst=1)
    codes = [
        (await client.post(path, headers=bearer(KEY), data=b"{}")).status_code for _ in range(2)
    ]
    assert codes[1] == 429 != codes[0]


async def test_one_users_tickets_do_not_use_up_their_key(autojump_clock: MockClock) -> None:
    client = a_client(per_minute=4)
    ann, bob = ticket("room"), ticket("other")
    assert [await start(client, ann) for _ in range(3)] == [(400, 0)] * 2 + [(429, 60)]
    assert await start(client, bob, "other") == (400, 0)
    assert [await start(client, KEY) for _ in range(6)] == [(400, 0)] * 5 + [(429, 15)]
    assert await start(client, bob, "other") == (429, 15)  # and they take of it


async def test_who_has_no_key_is_told_to_wait_and_who_has_one_passes(
    autojump_clock: MockClock,
) -> None:
    client = a_client()
    statuses = [(await start(client, "wrong"))[0] for _ in range(61)]
    assert statuses == [401] * 60 + [429]
    assert (await start(client, KEY))[0] == 400
    assert (await start(client, ticket()))[0] == 400
    assert (await client.get("/healthz")).status_code == 200
