"""`/readyz`: whether an agent could be started now. `/healthz` is another thing."""

from typing import Any

import pytest

from agent.config import Settings
from agent.options import AgentOptions
from server.stages import Stages
from tests.server.helpers import FakeAgents, make_app

KEYED = Settings(openai_api_key="k", server_api_key="secret-key")
NO_PROJECT = Settings(openai_api_key="k", rtc="agora")


async def readiness(*arguments: Any, **more: Any) -> tuple[int, Any]:
    client = make_app(*arguments, **more).test_client()
    response = await client.get("/readyz")
    assert ("Retry-After" in response.headers) is (response.status_code == 503)
    assert (await client.get("/healthz")).status_code == 200
    return response.status_code, await response.get_json()


@pytest.mark.parametrize("settings", [Settings(), KEYED])
async def test_a_server_that_can_start_agents_is_ready(settings: Settings) -> None:
    assert await readiness(settings) == (200, {"status": "ready", "reasons": []})


@pytest.mark.parametrize(
    ("stages", "settings", "limit", "reasons"),
    [
        (["draining"], KEYED, 1, ["draining"]),
        (["draining", "stopping"], KEYED, 1, ["stopping", "draining"]),
        ([], NO_PROJECT, 1, ["configuration"]),
        ([], KEYED, 0, ["full"]),
        (["stopping"], NO_PROJECT, 0, ["stopping", "full", "configuration"]),
    ],
)
async def test_one_that_cannot_says_why(
    stages: list[str], settings: Settings, limit: int, reasons: list[str]
) -> None:
    agents, reached = FakeAgents(), Stages()
    agents.limit = limit
    for stage in stages:
        getattr(reached, stage).set()
    told = await readiness(settings, agents, stages=reached)
    assert told == (503, {"status": "not ready", "reasons": reasons})


async def test_one_whose_processes_do_not_get_ready_is_not() -> None:
    agents = FakeAgents()
    agents.launches = False
    assert await readiness(KEYED, agents) == (
        503,
        {"status": "not ready", "reasons": ["processes"]},
    )


async def test_it_is_full_when_the_last_place_is_taken() -> None:
    agents = FakeAgents()
    agents.limit = 2
    await agents.start(AgentOptions(channel_name="one", uid=1))
    assert await readiness(KEYED, agents) == (200, {"status": "ready", "reasons": []})
    await agents.start(AgentOptions(channel_name="two", uid=1))
    assert (await readiness(KEYED, agents))[0] == 503
    await agents.stop("one")
    assert await readiness(KEYED, agents) == (200, {"status": "ready", "reasons": []})
