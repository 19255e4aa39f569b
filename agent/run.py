"""Run one agent: choose its channel and its model, join both, and see the call to its end."""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from agent.audio import SAMPLE_RATE
from agent.call_events import Event
from agent.call_record import CallRecord
from agent.config import (
    DEFAULT_BASE_URI,
    DEFAULT_LOCAL_CHANNEL_URL,
    EMBEDDED_MODEL,
    Settings,
)
from agent.errors import ConfigError, one_line, sole_error, ungrouped
from agent.extras import how_to_install, require
from agent.handle import Agent
from agent.nurseries import outliving
from agent.options import AgentOptions, OptionsError
from agent.protocol.tools import RealtimeFunctionTool, Tool
from agent.rtc.channel import RtcChannel
from agent.session import Call, Outcome
from agent.streams.ledger import Totals
from agent.streams.model import ModelConnection, dial, open_model
from agent.streams.model_address import model_address
from agent.streams.recorder import Tap, open_recorder
from agent.streams.session_config import session_of
from agent.tools.context import ToolContext
from agent.tools.mcp_config import McpConfig

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

_log = logging.getLogger(__name__)


@frozen
class Recording:
    """Play `question` (24 kHz mono pcm16) as the person; write what is answered to `answer`."""

    question: bytes
    answer: Path | None


def _ignore(_: dict[str, Any]) -> None:
    pass


async def run_agent(
    settings: Settings,
    options: AgentOptions,
    *,
    recording: Recording | None = None,
    agent: Agent | None = None,
    tools: ToolContext | None = None,
    mcp: McpConfig | None = None,
    call_id: str = "",
    elapsed_s: float = 0.0,
    on_state: Callable[[dict[str, Any]], None] = _ignore,
    on_event: Callable[[Event], None] = _ignore,
) -> Outcome:
    """Run one agent until its call ends.

    Cancelled, or told by `agent`, it leaves the channel and closes the model's socket in order,
    within a few seconds.

    :param recording: takes the place of an RTC channel.
    :param agent: a hand on the agent while it runs: stops it, interrupts it, has it say something.
    :param tools: those that the operator allows; the options may name some of them.
    :param mcp: the operator's MCP servers, whose tools are added.
    :param call_id: names the call, in its record; a random one where it is empty.
    :param elapsed_s: of the call, when an agent goes on with it in the place of one that failed;
        counts towards `max_duration_s`.
    :param on_state: is told when the agent is in its channel: `{"state": "running", ...}`.
    :param on_event: is told what happens in the call, see `agent.call_events`.
    :raises AgentError: the call failed, or could not begin; see the classes.
    """
    agent = agent or Agent()
    run = partial(
        _run,
        settings=settings,
        options=options,
        recording=recording,
        tools=tools if tools is not None else ToolContext(),
        mcp=mcp if mcp is not None else McpConfig(),
        call_id=call_id or secrets.token_hex(8),
        elapsed_s=elapsed_s,
        on_state=on_state,
        on_event=on_event,
    )
    outcome = Outcome(agent.reason)
    with ungrouped():
        async with trio.open_nursery() as guard:
            guard.start_soon(_stop_when_cancelled, agent)
            # From here on there is one way to be cancelled, the agent's own: it reaches what waits
            # and works, but not what sockets need to be closed in order.
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as keeper:
                    with agent.scope:
                        outcome = await run(keeper, agent)
            guard.cancel_scope.cancel()
    return Outcome(agent.reason) if agent.scope.cancelled_caught else outcome


async def _stop_when_cancelled(agent: Agent) -> None:
    try:
        await trio.sleep_forever()
    finally:
        agent.stop("cancelled")


async def _run(
    keeper: trio.Nursery,
    agent: Agent,
    *,
    settings: Settings,
    options: AgentOptions,
    recording: Recording | None,
    tools: ToolContext,
    mcp: McpConfig,
    call_id: str,
    elapsed_s: float,
    on_state: Callable[[dict[str, Any]], None],
    on_event: Callable[[Event], None],
) -> Outcome:
    began = trio.current_time()
    name = _model_name(settings, options)
    joined = channel_for(settings, options, recording)
    async with (
        _tap(settings) as tap,
        _with_mcp(tools, mcp, options) as chosen,
        outliving(keeper, model_for(settings, options, chosen, mcp)) as model,
    ):
        _log.info("the model is %s", _in_words(name))
        async with outliving(keeper, joined) as channel:
            _log.info("in the channel %s", options.channel_name)
            embedded = name == EMBEDDED_MODEL
            on_state({"state": "running", "uid": channel.uid, "model": name, "embedded": embedded})
            call = Call(
                options,
                model,
                channel,
                tap=tap,
                chat_prefix=secrets.token_hex(4),
                warn_at=settings.queue_warn,
                tools=chosen,
                approves=mcp.approves,
                # One that goes on counts its own joining, too.
                elapsed_s=elapsed_s and elapsed_s + trio.current_time() - began,
                on_event=on_event,
            )
            about = {
                "call_id": call_id,
                "channel_name": options.channel_name,
                "model": name,
                "embedded": embedded,
                "metadata": options.metadata,
            }
            return await _run_and_sum_up(call, agent, about, on_event)


async def _run_and_sum_up(
    call: Call,
    agent: Agent,
    about: dict[str, Any],
    on_event: Callable[[Event], None],
    clock: Callable[[], float] = time.time,
) -> Outcome:
    """Run a call; a record and a line of the log sum it up, in whatever way it ends.

    :param about: what of its record is known before it begins.
    :param clock: seconds since 1970.
    """
    started_at, began = clock(), trio.current_time()
    reason, exit_status = "a bug, see below", 1
    try:
        with agent.in_call(call):
            outcome = await call.run()
        reason, exit_status = outcome.reason, outcome.exit_status
    except BaseExceptionGroup as group:
        error = sole_error(group)
        if error is not None:
            reason, exit_status = str(error), error.exit_status
        raise
    finally:
        if agent.scope.cancel_called:
            reason, exit_status = agent.reason, 0
        record = CallRecord(
            **about,
            reason=reason,
            exit_status=exit_status,
            started_at=started_at,
            ended_at=started_at + trio.current_time() - began,
            figures=call.figures(),
        )
        on_event(record.figures.event())
        on_event(record.event())
        _sum_up(record, call.downlink.totals())
    return outcome


def _sum_up(record: CallRecord, samples: Totals) -> None:
    figures = record.figures
    _log.info(
        "call over: %s; %.1f s, %d turns, %d answers, %d interruptions, %d audio drops, "
        "%d underruns, %.1f s of speech heard and %.1f s dropped unheard, "
        "%d malformed events, %d tokens",
        record.reason,
        record.duration_s,
        figures.turns,
        figures.answers,
        figures.interruptions,
        figures.audio_dropped,
        figures.underruns,
        samples.played / SAMPLE_RATE,
        samples.discarded / SAMPLE_RATE,
        figures.malformed_events,
        figures.tokens,
    )


def _in_words(name: str) -> str:
    return "the embedded demo model" if name == EMBEDDED_MODEL else name


def _model_name(settings: Settings, options: AgentOptions) -> str:
    return EMBEDDED_MODEL if settings.embedded else options.model or settings.openai_model


@asynccontextmanager
async def _with_mcp(
    tools: ToolContext, mcp: McpConfig, options: AgentOptions
) -> AsyncIterator[ToolContext]:
    """The tools that an agent has, of those that the operator allows, MCP servers' among them.

    :raises OptionsError: the options name one that is not among them.
    """
    if not mcp.run_by_agent:
        yield _chosen(tools, options)
        return
    require("mcp", "or do without --mcp")
    from agent.tools.mcp import open_mcp_tools

    async with open_mcp_tools(mcp, taken=[tool.name for tool in tools]) as mcp_tools:
        tools = ToolContext([*tools, *mcp_tools.tools])
        yield _chosen(tools, options, mcp_tools.missing)


def _chosen(
    tools: ToolContext, options: AgentOptions, missing: tuple[str, ...] = ()
) -> ToolContext:
    """Those that the options name.

    :param missing: MCP servers that cannot be reached. What is unknown may be theirs, and is then
        done without: a call with fewer tools is better than none.
    """
    if options.tools is None:
        return tools
    unknown = [name for name in options.tools if tools.get(name) is None]
    if unknown and not missing:
        there = ", ".join(tool.name for tool in tools) or "none"
        raise OptionsError(
            [("tools", f"there is no tool {', '.join(unknown)}; there are: {there}")]
        )
    if unknown:
        _log.warning("done without %s: %s cannot be reached", _list(unknown), _list(missing))
    return tools.select([name for name in options.tools if name not in unknown])


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(one_line, names))


def model_for(
    settings: Settings,
    options: AgentOptions,
    tools: ToolContext | None = None,
    mcp: McpConfig | None = None,
) -> AbstractAsyncContextManager[ModelConnection]:
    """The model that an agent is to speak with, not opened yet.

    :param tools: what it may call.
    :param mcp: MCP servers, of which its own server calls some.
    :raises ConfigError: the embedded model is wanted and not installed.
    """
    mcp = mcp or McpConfig()
    descriptions = [] if tools is None else tools.model_description()
    own = [RealtimeFunctionTool(**each) for each in descriptions]
    # A request that names tools cannot name these: it has none of them.
    declared: list[Tool] = [*own, *(mcp.declarations() if options.tools is None else ())]
    if settings.embedded:
        return open_model(
            _embedded(settings), session_of(options, tools=declared), secrets=mcp.secrets
        )
    dialect = settings.realtime_api_dialect
    address = model_address(
        settings.realtime_api_base_uri or DEFAULT_BASE_URI,
        _model_name(settings, options),
        key=settings.openai_api_key,
        auth=settings.realtime_api_auth,
        dialect=dialect,
    )
    session = session_of(options, dialect=dialect, tools=declared)
    return open_model(
        dial(address), session, dialect=dialect, secrets=address.secrets + mcp.secrets
    )


def _embedded(settings: Settings) -> "AbstractAsyncContextManager[WebSocketConnection]":
    try:
        from agent.embedded.configured import options_of
        from agent.embedded.wire.in_process import open_embedded
    except ImportError as error:
        raise ConfigError(
            f"OPENAI_API_KEY is not set, and the embedded model is not installed ({error.name}): "
            f"{how_to_install('embedded')}"
        ) from error
    return open_embedded(**options_of(settings))


def preload(settings: Settings) -> None:
    """Import what a call by these settings needs, while there is none yet.

    :raises ConfigError: it is not installed.
    """
    if settings.way_in() == "agora":
        require("agora", "or set RTC=local to do without Agora")
        import_module("agent.rtc.agora")
    else:
        import_module("agent.rtc.local")


def channel_for(
    settings: Settings, options: AgentOptions, recording: Recording | None = None
) -> AbstractAsyncContextManager[RtcChannel]:
    """The channel that an agent is to be in, not opened yet.

    :param recording: takes its place.
    :raises ConfigError: it is an Agora channel, and no project or no SDK is there.
    """
    if recording is not None:
        from agent.rtc.wav import open_wav_channel

        return open_wav_channel(recording.question, recording.answer, warn_at=settings.queue_warn)
    if settings.way_in(options.rtc) == "agora":
        return _agora_channel(settings, options)
    from agent.rtc.local import open_local_channel

    return open_local_channel(
        settings.local_channel_url or DEFAULT_LOCAL_CHANNEL_URL,
        options.channel_name,
        options.uid,
        key=settings.server_api_key,
        warn_at=settings.queue_warn,
    )


def _agora_channel(
    settings: Settings, options: AgentOptions
) -> AbstractAsyncContextManager[RtcChannel]:
    require("agora", "or set RTC=local to do without Agora")
    # Imported here: it brings asyncio, which no other call needs.
    from agent.rtc.agora import Project, open_agora_channel

    assert settings.agora_app_id is not None  # `way_in` has looked
    project = Project(
        app_id=settings.agora_app_id,
        certificate=settings.agora_app_cert,
        token_ttl_s=settings.agora_token_ttl_s,
        log_dir=None if settings.agora_log_dir is None else Path(settings.agora_log_dir),
        pcm_dump=settings.write_rtc_pcm,
    )
    return open_agora_channel(
        project, options.channel_name, options.uid, warn_at=settings.queue_warn
    )


@asynccontextmanager
async def _tap(settings: Settings) -> AsyncIterator[Tap]:
    if not settings.write_agent_pcm:
        yield Tap()
        return
    async with open_recorder(Path(), datetime.now()) as tap:  # noqa: DTZ005 (local time in names)
        _log.info("recording to %s", " and ".join(str(path) for path in tap.paths))
        yield tap
