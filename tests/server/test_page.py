"""What the page does about who is in the channel, and about keys: in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from playwright.sync_api import Page, expect

from tests.e2e.test_page import a_page
from tests.server.helpers import FakeAgents, Served, control, serving
from tests.server.test_guard import WITH_KEY

# A call that is told these by its channel, before it has asked for an agent.
ADOPTED = """async (messages) => {
  const { Call } = await import("/web/call.js");
  const call = new Call("room", {});
  call.agentUid = 5;
  for (const message of messages) call.control(message);
  return call.agentUid;
}"""


async def browse(served: Served, act: Callable[[Page], None]) -> None:
    """Do this with the page, in a thread."""

    def run() -> None:
        with a_page(f"http://{served.here}/#room") as page:
            act(page)

    await trio.to_thread.run_sync(run)


@pytest.mark.parametrize(("query", "started"), [("9&agent=1", 0), ("9", 1)])
async def test_the_page_talks_to_the_agent_that_is_there(query: str, started: int) -> None:
    def act(page: Page) -> None:
        expect(page.locator("#model")).to_have_text("a-model")
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        expect(page.locator("#model")).to_have_text("a-model")

    agents = FakeAgents()
    async with serving(agents=agents) as served, served.join("room", query) as member:
        await control(member)
        await browse(served, act)
    # In the channel that the page is in, wherever others go.
    assert [options.rtc for options in agents.started] == ["local"] * started


@pytest.mark.parametrize(
    ("messages", "uid"),
    [
        ([{"control": "members", "uids": [9], "agents": [9]}], 9),
        ([{"control": "members", "uids": [9], "agents": []}], 5),
        ([{"control": "joined", "uid": 9, "agent": True}], 9),
        ([{"control": "joined", "uid": 9}], 5),
    ],
)
async def test_an_agent_is_adopted_and_a_person_is_not(
    messages: list[dict[str, Any]], uid: int
) -> None:
    def act(page: Page) -> None:
        assert page.evaluate(ADOPTED, messages) == uid

    async with serving() as served:
        await browse(served, act)


async def test_the_page_says_that_it_has_no_key() -> None:
    def act(page: Page) -> None:
        expect(page.locator("#notice")).to_contain_text("wants a key")
        expect(page.locator("#start")).to_be_disabled()

    async with serving(WITH_KEY) as served:
        await browse(served, act)
