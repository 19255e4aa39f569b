"""The tools that the page has for the agent: its module, in a real browser."""

from typing import Any

import orjson
from playwright.sync_api import Page

from agent.streams.chat import MAX_SENT_PARTS, MAX_WHOLE
from agent.streams.chunks import MAX_MESSAGE_ID, ONE_CHUNK, Reassembler, to_chunks
from agent.tools.outputs import MAX_OUTPUT, encode_output
from tests.server.helpers import serving
from tests.server.test_page import browse

# Calls by [name, arguments] of tools that go well and of such that do not.
RUN = """async (calls) => {
  const { run } = await import("/web/tools.js");
  const circle = {};
  circle.itself = circle;
  const tools = new Map(Object.entries({
    echo: (given) => given,
    later: async ({ text }) => ({ text }),
    nothing: () => {},
    raises: () => { throw new Error("no such luck"); },
    rejects: () => Promise.reject(new TypeError("later, no luck")),
    throws_text: () => { throw "<b>"; },
    without_words: () => { throw new RangeError(); },
    circle: () => circle,
    no_json: () => () => {},
    euros: ({ bytes }) => "\u20ac".repeat((bytes - 2) / 3),
  }));
  return Promise.all(calls.map(([name, given]) => run({ name, arguments: given }, tools)));
}"""
COLOURS = """async (colours) => {
  const { run } = await import("/web/tools.js");
  const look = document.documentElement.style;
  const done = [];
  for (const colour of colours) {
    const { error } = await run({ name: "set_page_colour", arguments: { colour } });
    const [accent, ink] = ["--accent", "--on-accent"].map((name) => look.getPropertyValue(name));
    done.push(error === undefined && [accent, ink]);
    look.cssText = "";
  }
  return done;
}"""
# What a call answers to these messages, each in its packets: with what it tells the page, in order.
ANSWER = """async (messages) => {
  const { Call } = await import("/web/call.js");
  let told = [];
  const page = { ontool: (...used) => told.push(used), onevent: (event) => told.push(event.type) };
  const call = new Call("room", page);
  call.channel = { sendData: (packet) => told.push({ packet }), close() {} };
  const all = [];
  for (const message of messages) {
    told = [];
    if (message === "close") call.close();
    else for (const packet of message) call.data(packet);
    await new Promise((resolve) => setTimeout(resolve, 20));
    all.push(told);
  }
  return all;
}"""
# Tools that fill a result; the second repeats half of a surrogate pair.
FILLERS = """async () => {
  const { TOOLS } = await import("/web/tools.js");
  TOOLS.set("repeat", ({ text, times }) => text.repeat(times));
  TOOLS.set("halve", ({ text, times }) => text.slice(0, 1).repeat(times));
  TOOLS.set("fail", ({ text }) => { throw new Error(text); });
}"""
# What is said and done; the person's words are written down last.
LATE = """async () => {
  const { Transcript } = await import("/web/transcript.js");
  const transcript = new Transcript();
  const types = {
    user: "conversation.item.input_audio_transcription.completed",
    agent: "response.audio_transcript.done",
  };
  const say = (item_id, words, role, now = 5000) =>
    transcript.apply({ type: types[role], item_id, transcript: words }, now);
  transcript.say("Hello.", 0);
  say("a", "Good day.", "agent", 1);
  transcript.used("get_page_time", undefined, 5000);
  say("b", "It is five.", "agent");
  say("c", "What is the time?", "user");
  transcript.used("set_page_colour", "no", 5000);
  return transcript.turns.map(({ role, text }) => [role, text]);
}"""
CALL = {"type": "client_tool_call", "tool_call_id": "1", "name": "get_page_time", "arguments": {}}


def answers(page: Page, *messages: Any) -> list[list[Any]]:
    """What a call answers and tells the page: over the agent's own packets, and read by it."""
    ids = (f"{number:0{MAX_MESSAGE_ID}}" for number in range(len(messages)))
    pairs = zip(messages, ids, strict=True)
    sent = [m if m == "close" else to_chunks(m, message_id) for m, message_id in pairs]
    reassembler = Reassembler()

    def read(told: Any) -> Any:
        return reassembler.feed(7, told["packet"]) if isinstance(told, dict) else told

    came = page.evaluate(ANSWER, sent)
    return [[it for it in map(read, told) if it is not None] for told in came]


def error(words: str) -> dict[str, Any]:
    """What comes of a call that came to nothing."""
    return {"result": {"error": words}, "error": words}


async def test_whatever_a_tool_of_the_page_does_is_a_result() -> None:
    limit = MAX_OUTPUT
    cases: list[tuple[str, object, dict[str, Any]]] = [
        ("echo", {"a": [1, None, "é"]}, {"result": {"a": [1, None, "é"]}}),
        ("echo", None, {"result": {}}),
        ("later", {"text": "<b>"}, {"result": {"text": "<b>"}}),
        ("nothing", {}, {"result": None}),
        ("raises", {}, error("no such luck")),
        ("rejects", {}, error("later, no luck")),
        ("throws_text", {}, error("<b>")),
        ("without_words", {}, error("RangeError")),
        ("later", 5, {"result": {}}),
        ("no_json", {}, error("the result is not JSON")),
        ("euros", {"bytes": limit}, {"result": "€" * ((limit - 2) // 3)}),
        (
            "euros",
            {"bytes": limit + 3},
            error(f"the result has {limit + 3} bytes; at most {limit} are allowed"),
        ),
    ]

    def act(page: Page) -> None:
        came = page.evaluate(RUN, [[name, given] for name, given, _ in cases])
        assert came == [expected for *_, expected in cases]
        (circle, unknown) = page.evaluate(RUN, [["circle", {}], ["constructor", {}]])
        assert "circular" in circle["error"]
        assert unknown["error"].startswith("this page has no constructor; it has: echo, later")

    async with serving() as served:
        await browse(served, act)


async def test_only_a_colour_colours_the_page() -> None:
    colours = {
        "teal": ["#008080", "#ffffff"],
        "#FFD700": ["#ffd700", "#000000"],
        "hsl(0 0% 100%)": ["#ffffff", "#000000"],
    }
    none = [
        "",
        "inherit",
        "transparent",
        "#00000080",
        "var(--ink)",
        "red; } * {",
        "url(x)",
        5,
        None,
    ]

    def act(page: Page) -> None:
        came = page.evaluate(COLOURS, [*colours, *none, "a" * 65])
        assert came == [*colours.values(), *[False] * (len(none) + 1)]

    async with serving() as served:
        await browse(served, act)


async def test_the_page_answers_the_calls_of_its_agent() -> None:
    unknown = CALL | {"tool_call_id": "2", "name": "eval"}
    no_calls: list[Any] = [
        {"type": "a.b", "item_id": "x"},
        CALL | {"tool_call_id": 5},
        CALL | {"name": "<img src=x>"},
        CALL | {"name": None},
    ]

    def act(page: Page) -> None:
        told = answers(page, CALL, unknown, *no_calls, "close", CALL)
        (shown, answer), (tried, refusal), *rest = told
        assert shown == ["get_page_time", None]
        assert answer["tool_call_id"] == "1"
        assert set(answer) == {"tool_call_id", "result"}
        assert set(answer["result"]) == {"time", "time_zone"}
        words = "this page has no eval; it has: get_page_time, set_page_colour"
        assert tried == ["eval", words]
        assert refusal == {"tool_call_id": "2", "result": {"error": words}}
        # What is no call is for the transcript to make something of. A call that is over says
        # nothing.
        events = [["a.b"], *[["client_tool_call"]] * 3]
        assert rest == [*events, [], []]
        hold_to_limits(page)

    async with serving() as served:
        await browse(served, act)


def hold_to_limits(page: Page) -> None:
    """The longest that one side lets through is read by the other, whatever is in it."""
    sizes = {"x": 1, "\1": 6, "\u20ac": 3, r"\ud83d": 7}  # in JSON
    times = {text: (MAX_OUTPUT - 2) // size for text, size in sizes.items()}
    longest = [call("repeat", text=text, times=times[text]) for text in times]
    # Half of a surrogate pair is 6 bytes in JSON, too, and nothing that a text may hold.
    halves = call("halve", text="\U0001f600", times=(MAX_OUTPUT - 2) // 6)
    cut = call("fail", text="x" * 999 + "\U0001f600")
    page.evaluate(FILLERS)
    told = answers(page, *longest, halves, cut, *from_agent())
    results = [answer["result"] for _, answer in told[:-2]]
    assert results[:-1] == [
        *(text * times[text] for text in times),
        "\ufffd" * ((MAX_OUTPUT - 2) // 6),
    ]
    assert results[-1] == {"error": "x" * 999 + "\ufffd"}
    assert max(len(encode_output(result).encode()) for result in results) == MAX_OUTPUT
    asked, event = told[-2:]
    assert asked[0] == ["get_page_time", None]
    assert event == ["a.b"]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return CALL | {"name": name, "arguments": arguments}


def from_agent() -> list[dict[str, Any]]:
    """The longest call and the longest of other messages that the agent sends."""
    asked, event = call("get_page_time", text=""), {"type": "a.b", "transcript": ""}
    asked["arguments"]["text"] = "x" * (MAX_WHOLE - len(orjson.dumps(asked)))
    most = ONE_CHUNK * MAX_SENT_PARTS
    event["transcript"] = "x" * (most - len(orjson.dumps(event)))
    return [asked, event]


async def test_what_was_asked_stands_before_the_tool_that_it_made_the_agent_use() -> None:
    def act(page: Page) -> None:
        assert page.evaluate(LATE)[2:] == [
            ["user", "What is the time?"],
            ["tool", "the agent used get_page_time"],
            ["agent", "It is five."],
            ["tool", "the agent tried set_page_colour: no"],
        ]

    async with serving() as served:
        await browse(served, act)
