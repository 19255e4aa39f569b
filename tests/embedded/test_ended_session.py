"""A session that has ended is freed at once: audio of minutes must not wait for the collector."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from trio.testing import MockClock

from agent.embedded.engine import Engine
from tests.embedded.driving import Driver, loud, quiet
from tests.embedded.sockets import HummingVoice, open_session


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def busy(driver: Driver) -> None:
    driver.update(
        audio={"input": {"transcription": {"model": "whisper-1"}}},
        tools=[{"type": "function", "name": "get_weather"}],
    )
    driver.append(quiet(20) + loud(10) + quiet(9))
    driver.typed("Get the weather.")
    driver.pass_time(5)
    driver.send("response.create", response={"conversation": "none"})
    driver.send("conversation.item.retrieve", item_id="nope")


def test_an_engine_is_freed_when_nobody_holds_it() -> None:
    driver = Driver()
    busy(driver)
    engine = weakref.ref(driver.engine)
    del driver
    assert engine() is None


async def test_the_session_around_it_lets_it_go(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Engine]] = []
    begin = Engine.__init__

    def noted(self: Engine, **options: object) -> None:
        begin(self, **options)  # type: ignore[arg-type]  # whatever it takes
        made.append(weakref.ref(self))

    monkeypatch.setattr(Engine, "__init__", noted)
    async with open_session(HummingVoice()) as socket:
        socket.tell("response.create")
        await socket.hear("response.done")
        assert made[0]() is not None
    assert made[0]() is None
