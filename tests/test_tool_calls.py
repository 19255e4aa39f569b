"""Whole calls in which the model calls functions, in any interleaving of what a server, tools, a
client and a person may do.

The server here knows nothing of how the agent keeps its accounts: it holds to what the Realtime API
does with function calls, with what is told on the way in both directions, and checks what the agent
says to it. A person's client answers, or does not.

An ordinary run tries some dozens of interleavings, `make prove` ten thousand.
"""

from base64 import b64encode
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Literal

import orjson
import trio
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from agent.protocol import decode_server_event, encode
from agent.rtc.channel import DataReceived, UserLeft
from agent.session import Call
from agent.streams.chunks import to_chunks
from agent.streams.recorder import Tap
from agent.streams.session_config import session_of
from agent.tools import RunContext, ToolContext
from agent.tools.declaring import OnInterruption
from tests.fakes.call import OPTIONS
from tests.fakes.channel import PERSON, MemoryChannel

MANY: Final = 50 if settings().max_examples < 1000 else 10_000
TIMEOUT_S: Final = 2.0
SETTLED_S: Final = 60
"""After which everything has come to its end."""
PLAYED_COARSELY: Final = evolve(OPTIONS, playout_lead_ms=400, playout_step_ms=400)
"""Nobody listens here, and it takes less time."""
OBJECT: Final = {"type": "object"}
CREATE: Final = "response.create"
ACTIVE: Final = "conversation_already_has_active_response"
Json = dict[str, Any]
Told = Literal["arguments", "nameless", "item", "response"]


# -- what may happen -------------------------------------------------------------------------


@define
class PlannedCall:
    """A call that a response makes.

    :ivar name: of the tool.
    :ivar arguments: what it is given, which says what it does; as a text where it is no JSON.
    :ivar told: which events tell of it.
    :ivar takes_s: how long its arguments take.
    """

    name: str
    arguments: Json | str
    told: frozenset[Told]
    takes_s: float


@define
class Plan:
    """What a response says and calls."""

    spoken_ms: int = 100
    calls: tuple[PlannedCall, ...] = ()
    pause_s: float = 0.0


@define
class Script:
    """What happens in one call.

    :ivar delay_s: on the way between the agent and the server.
    :ivar steps: what happens besides, each so long after the one before.
    :ivar eager: how many outputs the server answers before it is asked to.
    :ivar is_cut: the call ends in the midst of everything.
    """

    delay_s: float
    eager: int
    plans: list[Plan]
    steps: list[tuple[float, str]]
    is_cut: bool


LOCAL: Final = [
    (f"{policy}_{kind}", policy, kind == "answered")
    for policy in ("cancel", "finish", "report")
    for kind in ("answered", "quiet")
]
CLIENT: Final = [("page", True), ("quiet_page", False)]
RESPONDS: Final = {name: responds for name, _, responds in LOCAL} | dict(CLIENT) | {"nobody": True}

SECONDS = st.sampled_from([0.0, 0.03, 0.3, 0.6, 1.0, 1.5, 1.9, 5.0])
ARGUMENTS = st.sampled_from(["return", "return", "return", "raise", "shield", ""]).flatmap(
    lambda does: (
        st.fixed_dictionaries({"seconds": SECONDS, "does": st.just(does)})
        if does
        else st.just('{"seconds": 0')
    )
)
PAGE_ARGUMENTS = st.fixed_dictionaries(
    {"seconds": SECONDS, "does": st.sampled_from(["once", "once", "twice", "never", "other"])}
)
TOLD = st.sampled_from(
    [
        {"arguments", "item", "response"},
        {"nameless", "item", "response"},
        {"nameless", "response"},
        {"arguments"},
        {"item"},
        {"response"},
    ]
).map(frozenset)
LOCAL_CALLS = st.tuples(st.sampled_from([name for name, *_ in LOCAL]), ARGUMENTS)
CLIENT_CALLS = st.tuples(st.sampled_from([name for name, _ in CLIENT]), PAGE_ARGUMENTS)
NAMED: st.SearchStrategy[tuple[str, Any]] = st.integers(1, 10).flatmap(
    lambda kind: LOCAL_CALLS if kind < 7 else CLIENT_CALLS if kind < 10 else st.just(("nobody", {}))
)
CALLS = st.builds(
    lambda named, told, takes_s: PlannedCall(named[0], named[1], told, takes_s),
    NAMED,
    TOLD,
    st.sampled_from([0.0, 0.0, 0.05, 0.4]),
)
PLANS = st.builds(
    Plan,
    st.sampled_from([0, 100, 900, 2500, 2500]),
    st.sampled_from([0, 1, 1, 1, 2, 2, 3]).flatmap(
        lambda size: st.lists(CALLS, min_size=size, max_size=size).map(tuple)
    ),
    st.sampled_from([0.0, 0.0, 0.2, 1.0]),
)
STEPS = st.tuples(
    st.sampled_from([0.0, 0.02, 0.1, 0.4, 1.0, 3.0]),
    st.sampled_from(
        [
            *("turn", "late turn", "text", "interrupt", "begin", "fail", "again", "leave"),
            *("turn over a tool", "turn over a tool", "text over a tool"),
        ]
    ),
)
SCRIPTS = st.builds(
    Script,
    st.sampled_from([0.0, 0.02, 0.15]),
    st.sampled_from([0, 0, 1, 3]),
    st.lists(PLANS, min_size=1, max_size=6),
    st.lists(STEPS, max_size=8),
    st.sampled_from([False, False, False, True]),
)


# -- the server ------------------------------------------------------------------------------


@define(eq=False)
class Called:
    """A call that the server has in its conversation."""

    id: str
    name: str
    outputs: list[Any] = field(factory=list)

    @property
    def was_interrupted(self) -> bool:
        """Whether its output says so."""
        output = self.outputs[0]
        return isinstance(output, dict) and "person interrupted" in output.get("error", "")

    @property
    def may_want_answer(self) -> bool:
        """Whether its tool may want the model to go on with this output."""
        return RESPONDS[self.name] and not self.was_interrupted


@define(eq=False)
class Response:
    """A response as its server knows it.

    :ivar own: the server has begun it by itself.
    :ivar is_unwanted: the agent has cancelled it.
    :ivar told_at: when the agent was told that it has begun.
    :ivar items: as its end tells of them.
    """

    id: str
    plan: Plan
    own: bool
    began_at: float
    told_at: float = float("inf")
    calls: list[Called] = field(factory=list)
    items: list[Json] = field(factory=list)
    events: list[Json] = field(factory=list)
    cut: Json | None = None
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    done_at: float = float("inf")
    counted: bool = False
    is_unwanted: bool = False
    answered: bool = False

    @property
    def done(self) -> bool:
        return self.done_at < float("inf")


class Server:
    """Stands in for the connection to the model.

    :ivar reasons: what there is a reason to ask for an answer to, and the response that began with
        it in view.
    :ivar heard_until: when the last sample of what was sent has been heard, at the latest.
    :ivar disturbed: when the person or the program interfered, and `heard_until` by then.
    :ivar late: calls of which the agent is told when it knows that the person has spoken over them.
    """

    def __init__(self, script: Script) -> None:
        self.session = session_of(OPTIONS)
        self.active: Response | None = None
        self.responses: list[Response] = []
        self.calls: dict[str, Called] = {}
        self.reasons: list[list[Response]] = []
        self.refused = self.own = self.malformed = 0
        self.heard_until = 0.0
        self.disturbed: list[tuple[float, float]] = []
        self.delay_s = script.delay_s
        self._eager = script.eager
        self._plans = deque(script.plans)
        self._names = count(1)
        self._up_in, self._up = trio.open_memory_channel[tuple[float, Json]](1000)
        self._down_in, self._down = trio.open_memory_channel[tuple[float, Json]](1000)
        self.late: set[str] = set()
        self._known: set[str] = set()
        self._silenced: set[str] = set()
        self._open: dict[str, float] = {}
        self._asked: set[str] = set()
        self._began_at = -1.0
        self._nursery: trio.Nursery | None = None

    # -- the wire --------------------------------------------------------------------------

    async def send(self, event: Any) -> None:
        """The agent sends something."""
        if event.type == "input_audio_buffer.append":
            return
        if event.type == CREATE:
            self._check_create(event.event_id)
        if event.type == "response.cancel":
            self._response(event.response_id).is_unwanted = True
        self._up_in.send_nowait((trio.current_time(), orjson.loads(encode(event))))
        await trio.lowlevel.checkpoint()

    def _check_create(self, event_id: str) -> None:
        """Never more than one response, as far as the agent can know by now."""
        now = trio.current_time()
        if now == self._began_at:
            return  # they crossed within the agent: it asked before it knew
        assert not self._asked, "a response is asked for while one is asked for"
        known = {name for name, at in self._open.items() if at < now}
        assert not known, "a response is asked for while one is open"
        self._asked.add(event_id)

    async def receive(self) -> Any:
        """The agent's next event."""
        sent_at, event = await self._down.receive()
        await trio.sleep_until(sent_at + self.delay_s)
        self._told(event)
        self._note_calls(event)
        return decode_server_event(orjson.dumps(event))

    def _told(self, event: Json) -> None:
        if event["type"] == "response.created":
            self._open[event["response"]["id"]] = self._began_at = trio.current_time()
            self._response(event["response"]["id"]).told_at = trio.current_time()
            self._asked.clear()
        elif event["type"] == "input_audio_buffer.speech_started":
            self._silenced |= self._open.keys()
        elif event["type"] == "response.done":
            self._open.pop(event["response"]["id"], None)
        elif event["type"] == "error":
            self._asked.discard(event["error"]["event_id"])

    def _note_calls(self, event: Json) -> None:
        about = event.get("response_id") or event.get("response", {}).get("id")
        told = _calls_of(event) - self._known
        self._known |= told
        if about in self._silenced:
            self.late |= told

    def emit(self, type_: str, **fields: Any) -> Json:
        event = {"type": type_, "event_id": f"event_{next(self._names)}", **fields}
        self._down_in.send_nowait((trio.current_time(), event))
        return event

    async def run(self) -> None:
        """Take what the agent sends."""
        async with trio.open_nursery() as self._nursery:
            self.begin()
            async for sent_at, event in self._up:
                await trio.sleep_until(sent_at + self.delay_s)
                self._take(event, sent_at)

    # -- what the agent asks for -----------------------------------------------------------

    def _take(self, event: Json, sent_at: float) -> None:
        match event["type"]:
            case "conversation.item.create":
                self._take_item(event["item"])
            case "response.create":
                self._take_create(event, sent_at)
            case "response.cancel":
                if self.active and self.active.id == event["response_id"]:
                    self._end(self.active, "cancelled", reason="client_cancelled")
                else:
                    self._refuse(event, "response_cancel_not_active")

    def _take_item(self, item: Json) -> None:
        self.emit("conversation.item.added", item=item)
        if item["type"] == "message":
            self.reasons.append([])
            return
        assert item["type"] == "function_call_output"
        assert item["call_id"] in self.calls, "an output for a call that never was"
        self.calls[item["call_id"]].outputs.append(orjson.loads(item["output"]))
        assert len(self.calls[item["call_id"]].outputs) == 1, "two outputs for one call"
        for response in self.responses:
            if any(call.id == item["call_id"] for call in response.calls):
                self._check_cancelled(response, self.calls[item["call_id"]])
                self._count(response)
        if self._eager and self.active is None:
            self._eager -= 1
            self.begin()

    def _check_cancelled(self, response: Response, call: Called) -> None:
        """None is cancelled but by who interrupts its response, or what is being heard."""
        over = response.done_at + self.delay_s
        assert not call.was_interrupted or any(
            self._meets(response, at) and at <= max(over, heard_until)
            for at, heard_until in self.disturbed
        )

    def _meets(self, response: Response, at: float) -> bool:
        """Whether what interfered then met this response, or the request for it on its way."""
        return at + 2 * self.delay_s + 0.001 >= response.began_at

    def _take_create(self, event: Json, sent_at: float) -> None:
        self._check_reason(sent_at)
        if self.active is not None:
            self.refused += 1
            assert self.refused <= self.own, "a response is asked for while one is active"
            assert self.active.told_at >= sent_at, "the agent knew that one is active"
            self._refuse(event, ACTIVE)
            return
        self._begin(own=False)

    def _check_reason(self, sent_at: float) -> None:
        """Nothing is answered twice that the agent could know to have been in view."""
        assert any(
            all(it.is_unwanted or sent_at <= it.told_at for it in in_view)
            for in_view in self.reasons
        ), "an answer is asked for without a reason, too early, or twice"

    def _refuse(self, event: Json, code: str) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": "no"}
        self.emit("error", error=error | {"event_id": event["event_id"]})

    def _count(self, response: Response) -> None:
        """Where all of a response's calls have their outputs, it may be answered, once."""
        if response.done and not response.counted and all(call.outputs for call in response.calls):
            response.counted = True
            if any(call.may_want_answer for call in response.calls):
                self.reasons.append([])

    # -- responses -------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin one by itself."""
        if self.active is None:
            self.own += 1
            self._begin(own=True)

    def _begin(self, *, own: bool) -> None:
        plan = self._plans.popleft() if self._plans else Plan()
        response = Response(f"resp_{next(self._names)}", plan, own, trio.current_time())
        for former in self.responses:
            former.answered |= former.counted
        for in_view in self.reasons:
            in_view.append(response)
        self.active = response
        self.responses.append(response)
        about = {"id": response.id, "status": "in_progress", "conversation_id": "conv"}
        self.emit("response.created", response=about)
        assert self._nursery is not None
        self._nursery.start_soon(self._generate, response)

    async def _generate(self, response: Response) -> None:
        with response.scope:
            if response.plan.spoken_ms:
                await self._speak(response, response.plan.spoken_ms)
            for index, planned in enumerate(response.plan.calls, 1):
                await self._call(response, planned, index)
            await trio.sleep(response.plan.pause_s)
            self._end(response, "completed")

    async def _speak(self, response: Response, ms: int) -> None:
        item: Json = {"id": f"item_{next(self._names)}", "type": "message", "content": []}
        item |= {"role": "assistant"}
        where = {"response_id": response.id, "output_index": 0}
        self.emit("response.output_item.added", **where, item=item)
        await trio.sleep(ms / 5000)
        pcm = b64encode(bytes(48 * ms)).decode()
        of_part = where | {"item_id": item["id"], "content_index": 0}
        self.emit("response.output_audio.delta", **of_part, delta=pcm)
        now = trio.current_time() + self.delay_s
        self.heard_until = max(self.heard_until, now) + ms / 1000 + 0.001
        self.emit("response.output_audio.done", **of_part)
        self.emit("response.output_item.done", **where, item=item)
        response.items.append(item)

    async def _call(self, response: Response, planned: PlannedCall, index: int) -> None:
        call_id = f"call_{next(self._names)}"
        item = {"id": f"item_{next(self._names)}", "type": "function_call", "call_id": call_id}
        item |= {"name": planned.name, "arguments": ""}
        where = {"response_id": response.id, "output_index": index}
        self.emit("response.output_item.added", **where, item=item)
        response.cut = where | {"item": item | {"status": "incomplete"}}
        await trio.sleep(planned.takes_s)
        response.cut = None
        given = planned.arguments
        text = given if isinstance(given, str) else orjson.dumps(given).decode()
        self._complete(response, planned, where, item | {"arguments": text})

    def _complete(self, response: Response, planned: PlannedCall, where: Json, item: Json) -> None:
        """The call is in the conversation from now on."""
        call = self.calls[item["call_id"]] = Called(item["call_id"], planned.name)
        response.calls.append(call)
        told = where | {name: item[name] for name in ("call_id", "name", "arguments")}
        told |= {"item_id": item["id"]}
        done = "response.function_call_arguments.done"
        if "arguments" in planned.told:
            response.events.append(self.emit(done, **told))
        if "nameless" in planned.told:
            del told["name"]
            response.events.append(self.emit(done, **told))
        if "item" in planned.told:
            response.events.append(self.emit("response.output_item.done", **where, item=item))
        if "response" in planned.told:
            response.items.append(item)

    def _end(self, response: Response, status: str, **details: Any) -> None:
        if response.done:
            return
        response.done_at = trio.current_time()
        response.scope.cancel()
        self.active = None
        if response.cut is not None:
            self.emit("response.output_item.done", **response.cut)
            response.items.append(response.cut["item"])
        about: Json = {"id": response.id, "status": status, "output": response.items}
        about |= {"conversation_id": "conv", "status_details": {"type": status, **details}}
        response.events.append(self.emit("response.done", response=about))
        self._count(response)

    def cancel_for_speech(self) -> None:
        if self.active is not None:
            self._end(self.active, "cancelled", reason="turn_detected")

    def fail(self) -> None:
        """What is active fails."""
        if self.active is not None:
            error = {"type": "server_error", "code": "server_error", "message": "oops"}
            self._end(self.active, "failed", error=error)

    def tell_again(self) -> None:
        """What was told of a response comes once more."""
        over = [response for response in self.responses if response.done]
        for event in over[-1].events if over else ():
            self._down_in.send_nowait((trio.current_time(), event))

    def _response(self, name: str) -> Response:
        return next(response for response in self.responses if response.id == name)

    # -- the end ---------------------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        return self.active is not None or bool(self._asked)

    def check_accounts(self) -> None:
        assert self.active is None
        assert not self._asked
        for call in self.calls.values():
            assert len(call.outputs) == 1, f"no output for {call}"
        for response in self.responses:
            is_quiet = not any(self._meets(response, at) for at, _ in self.disturbed)
            wants = any(call.may_want_answer for call in response.calls)
            if is_quiet and wants:
                assert response.answered, f"{response} was not answered"


def _calls_of(event: Json) -> set[str]:
    """The calls that this event tells all of."""
    if event["type"] == "response.function_call_arguments.done":
        return {event["call_id"]} if "name" in event else set()
    if event["type"] == "response.done":
        items = event["response"]["output"]
    else:
        items = [event["item"]] if event["type"] == "response.output_item.done" else []
    return {item["call_id"] for item in items if "call_id" in item and "status" not in item}


# -- the tools, the client and the person ------------------------------------------------------


class PersonsChannel(MemoryChannel):
    """Hands on what the person's client is told."""

    def __init__(self) -> None:
        super().__init__()
        self.on_message: Callable[[Json], None] | None = None

    async def send_data(self, packet: str) -> bool:
        known = len(self.messages)
        taken = await super().send_data(packet)
        for message in self.messages[known:]:
            if self.on_message is not None:
                self.on_message(message)
        return taken


class World:
    """One call, and all that is around it.

    :ivar inside: how many tools are at work.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.server = Server(script)
        self.channel = PersonsChannel()
        self.inside = 0
        self.begun: list[str] = []
        self.call = Call(
            PLAYED_COARSELY,
            self.server,  # type: ignore[arg-type]  # it does what the agent needs of it
            self.channel,
            tap=Tap(),
            chat_prefix="t",
            tools=self.tools(),
        )
        self._texts = count(1)

    def tools(self) -> ToolContext:
        tools = ToolContext()
        for name, policy, responds in LOCAL:
            wanted: OnInterruption = policy  # type: ignore[assignment]  # it is one of the three
            tools.register_function(
                name=name,
                parameters=OBJECT,
                fn=self.work,
                timeout_s=TIMEOUT_S,
                on_interruption=wanted,
                responds=responds,
            )
        for name, responds in CLIENT:
            tools.register_client_function(
                name=name, parameters=OBJECT, timeout_s=TIMEOUT_S, responds=responds
            )
        return tools

    async def work(self, run: RunContext, seconds: float, does: str) -> str:
        assert run.call_id not in self.begun, "a call is run twice"
        assert run.call_id not in self.server.late, "the person has spoken over it"
        self.begun.append(run.call_id)
        self.inside += 1
        try:
            with trio.CancelScope(shield=does == "shield"):
                await trio.sleep(seconds)
        finally:
            self.inside -= 1
        if does == "raise":
            raise LookupError("nothing there")
        return "done"

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.call.run)
            nursery.start_soon(self.server.run)
            self.channel.on_message = lambda m: nursery.start_soon(self.client, m)
            self.channel.join()
            await wait_all_tasks_blocked()
            for pause_s, step in self.script.steps:
                await trio.sleep(pause_s)
                await self.do(step)
            if not self.script.is_cut:
                await self.settle()
                self.server.check_accounts()
                self.check_ends()
            nursery.cancel_scope.cancel()
        assert not self.inside, "a tool outlives its call"

    async def settle(self) -> None:
        quiet = 0
        for _ in range(SETTLED_S):
            await trio.sleep(1)
            busy = self.inside or self.call.conversation.busy or self.server.is_busy
            quiet = 0 if busy else quiet + 1
            if quiet == 2:  # what was on its way has come
                return

    def check_ends(self) -> None:
        assert not self.inside
        assert not self.call.conversation.busy
        assert not self.call.conversation.calls.running
        assert not self.call._tools._running
        assert not self.call._client._waiting

    async def client(self, message: Json) -> None:
        """The person's client is told something."""
        if message["type"] != "client_tool_call":
            return
        does = message["arguments"]["does"]
        await trio.sleep(message["arguments"]["seconds"])
        if does == "never":
            return
        self.tell({"tool_call_id": message["tool_call_id"], "result": {"shown": 1}}, does)
        if does == "twice":
            self.tell({"tool_call_id": message["tool_call_id"]}, does)
            self.tell({"tool_call_id": "call_unknown", "result": 1}, does)

    def tell(self, message: Json, does: str = "") -> None:
        uid = PERSON + 1 if does == "other" else PERSON
        for chunk in to_chunks(message, f"m{next(self._texts)}"):
            self.channel.tell.send_nowait(DataReceived(uid, chunk))

    async def do(self, step: str) -> None:
        server = self.server
        if step.endswith("over a tool"):
            await self.some_tool_works()
            step = step.removesuffix(" over a tool")
        if step in ("turn", "late turn", "text", "interrupt"):
            server.disturbed.append((trio.current_time(), server.heard_until))
        match step:
            case "turn" | "late turn":
                await self.speak(done_first=step == "late turn")
            case "text":
                self.tell({"type": "text", "text": "hello"})
            case "begin":
                server.begin()
            case "fail":
                server.fail()
            case "again":
                server.tell_again()
            case "interrupt":
                self.call.interrupt()
            case "leave":
                self.channel.tell.send_nowait(UserLeft(PERSON, "quit"))
                await trio.sleep(0.1)
                self.channel.join()

    async def some_tool_works(self) -> None:
        for _ in range(60):
            if self.inside:
                return
            await trio.sleep(0.05)

    async def speak(self, *, done_first: bool) -> None:
        """The person speaks; the server cancels and answers by itself."""
        server = self.server
        if done_first:
            server.cancel_for_speech()
        server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="user")
        server.cancel_for_speech()
        await trio.sleep(0.3)
        server.emit("input_audio_buffer.speech_stopped", audio_end_ms=300, item_id="user")
        server.emit("input_audio_buffer.committed", item_id="user")
        server.begin()


@settings(max_examples=MANY)
@given(SCRIPTS)
def test_every_call_has_one_output_and_every_response_one_answer(script: Script) -> None:
    async def run() -> None:
        await World(script).run()

    trio.run(run, clock=MockClock(autojump_threshold=0))
