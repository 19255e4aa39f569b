"""What the page does about who is in the channel, and about keys: in a real browser."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import trio
from playwright.sync_api import Page, expect

from agent.config import Settings
from tests.e2e.test_page import a_page
from tests.server.doors.test_doors import KEY, NOW, ticket
from tests.server.doors.test_guard import WITH_KEY
from tests.server.helpers import FakeAgents, Served, control, serving

# A call that is told these by its channel, before it has asked for an agent.
ADOPTED = """async (messages) => {
  const { Call } = await import("/web/call.js");
  const call = new Call("room", {});
  call.agentUid = 5;
  for (const message of messages) call.control(message);
  return call.agentUid;
}"""


async def browse(served: Served, act: Callable[[Page], None], fragment: str = "room") -> None:
    """Do this with the page, in a thread."""

    def run() -> None:
        with a_page(f"http://{served.here}/#{fragment}") as page:
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


TOLD: list[tuple[dict[str, Any], int]] = [
    ({"control": "members", "uids": [9], "agents": [9]}, 9),
    ({"control": "members", "uids": [9], "agents": []}, 5),
    ({"control": "joined", "uid": 9, "agent": True}, 9),
    ({"control": "joined", "uid": 9}, 5),
]
"""Control messages, and whom the page then takes for the agent."""


async def test_an_agent_is_adopted_and_a_person_is_not() -> None:
    def act(page: Page) -> None:
        for message, uid in TOLD:
            assert page.evaluate(ADOPTED, [message]) == uid, message

    async with serving() as served:
        await browse(served, act)


async def test_the_page_says_that_it_has_no_key() -> None:
    def act(page: Page) -> None:
        expect(page.locator("#notice")).to_contain_text("wants a key")
        expect(page.locator("#start")).to_be_disabled()

    async with serving(WITH_KEY) as served:
        await browse(served, act)


# The server's answer to a ticket that has expired, without the browser's complaint of it.
TOO_LATE = """() => {
  const body = JSON.stringify({ error: "The ticket has expired", code: "ticket_expired" });
  const real = window.fetch;
  window.fetch = async () => {
    window.fetch = real;
    return new Response(body, { status: 401 });
  };
}"""


async def test_the_page_calls_by_a_ticket_and_shows_it_to_nobody() -> None:
    name = "a room+&=#1"

    def act(page: Page) -> None:
        expect(page.locator("#channel-name")).to_have_value(name)
        expect(page.locator("#channel-name")).not_to_be_editable()
        assert page.evaluate("location.hash") == f"#{quote(name, safe='')}"
        seen: list[str] = []
        page.on("request", lambda request: seen.append(request.url))
        page.click("#start")
        expect(page.locator("body")).to_have_attribute("data-state", "in-call")
        page.evaluate(TOO_LATE)
        page.click("#stop")
        expect(page.locator("body")).to_have_attribute("data-state", "idle")
        assert not [url for url in seen if "ticket" in url]
        expect(page.locator("#notice")).to_be_hidden()
        times.append(NOW + 60)
        page.evaluate("(hash) => (location.hash = hash)", fragment(ticket(name)))
        expect(page.locator("#notice")).to_contain_text("has expired")
        expect(page.locator("#start")).to_be_disabled()
        assert "ticket" not in page.url

    def fragment(text: str) -> str:
        return f"channel={quote(name, safe='')}&ticket={text}"

    agents, times = FakeAgents(), [NOW]
    settings = Settings(openai_api_key="k", server_api_key=KEY)
    async with serving(settings, agents, clock=lambda: times[-1]) as served:
        await browse(served, act, fragment(ticket(name)))
    assert [options.channel_name for options in agents.started] == [name]
