"""Run one agent: choose its channel and its model, join both, and see the call to its end."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
from attrs import frozen

from agent.config import (
    DEFAULT_BASE_URI,
    DEFAULT_LOCAL_CHANNEL_URL,
    EMBEDDED_MODEL,
    Settings,
)
from agent.errors import ConfigError, sole_error
from agent.options import AgentOptions
from agent.rtc.channel import RtcChannel
from agent.session import Call, Outcome, Stop
from agent.streams.model import ModelConnection, dial, model_address, open_model
from agent.streams.recorder import Tap, open_recorder
from agent.streams.session_config import session_of

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
    stop: Stop | None = None,
    on_state: Callable[[dict[str, Any]], None] = _ignore,
) -> Outcome:
    """Run one agent until its call ends.

    Cancelled, or asked by `stop`, it leaves the channel and closes the model's socket in order,
    within a few seconds.

    :param recording: takes the place of an RTC channel.
    :param stop: ends the agent from outside; used for one agent only.
    :param on_state: is told when the agent is in its channel.
    :raises AgentError: the call failed, or could not begin; see the classes.
    """
    stop = stop or Stop()
    outcome = Outcome(stop.reason)
    try:
        with stop.scope:
            async with AsyncExitStack() as stack:
                outcome = await _run(stack, settings, options, recording, on_state)
    except BaseExceptionGroup as group:
        error = sole_error(group)
        if error is None:
            raise
        raise error from group
    return Outcome(stop.reason) if stop.scope.cancelled_caught else outcome


async def _run(
    stack: AsyncExitStack,
    settings: Settings,
    options: AgentOptions,
    recording: Recording | None,
    on_state: Callable[[dict[str, Any]], None],
) -> Outcome:
    began = trio.current_time()
    name = _model_name(settings, options)
    model = await stack.enter_async_context(
        open_model(_socket(settings, name), session_of(options))
    )
    embedded = name == EMBEDDED_MODEL
    _log.info("the model is %s", "the embedded demo model" if embedded else name)
    channel = await stack.enter_async_context(_channel(settings, options, recording))
    tap = await stack.enter_async_context(_tap(settings))
    call = Call(
        options,
        model,
        channel,
        tap=tap,
        chat_prefix=secrets.token_hex(4),
        warn_at=settings.queue_warn,
    )
    _log.info("in the channel %s", options.channel_name)
    on_state({"state": "running", "model": name, "embedded": embedded})
    outcome: Outcome | None = None
    try:
        outcome = await call.run()
    finally:
        _sum_up(call, model, channel, outcome, trio.current_time() - began)
    return outcome


def _model_name(settings: Settings, options: AgentOptions) -> str:
    return EMBEDDED_MODEL if settings.embedded else options.model or settings.openai_model


def _socket(settings: Settings, name: str) -> "AbstractAsyncContextManager[WebSocketConnection]":
    if not settings.embedded:
        address = model_address(
            settings.realtime_api_base_uri or DEFAULT_BASE_URI,
            name,
            key=settings.openai_api_key,
            auth=settings.realtime_api_auth,
        )
        return dial(address)
    try:
        from agent.embedded.in_process import open_embedded
    except ImportError as error:
        raise ConfigError(
            f"OPENAI_API_KEY is not set, and the embedded model is not installed ({error.name}): "
            "pip install 'trio-voice-agent[embedded]'"
        ) from error
    return open_embedded()


def _channel(
    settings: Settings, options: AgentOptions, recording: Recording | None
) -> AbstractAsyncContextManager[RtcChannel]:
    if recording is not None:
        from agent.rtc.wav import open_wav_channel

        return open_wav_channel(recording.question, recording.answer, warn_at=settings.queue_warn)
    rtc = options.rtc or settings.rtc
    if rtc == "agora" or (rtc == "auto" and settings.agora_app_id is not None):
        raise ConfigError("RTC: agora is not in this version yet; use RTC=local")
    from agent.rtc.local import open_local_channel

    return open_local_channel(
        settings.local_channel_url or DEFAULT_LOCAL_CHANNEL_URL,
        options.channel_name,
        options.uid,
        key=settings.server_api_key,
        warn_at=settings.queue_warn,
    )


@asynccontextmanager
async def _tap(settings: Settings) -> AsyncIterator[Tap]:
    if not settings.write_agent_pcm:
        yield Tap()
        return
    try:
        recorder = open_recorder(Path(), datetime.now())  # noqa: DTZ005 (names in local time)
        async with recorder as tap:
            _log.info("recording to %s", " and ".join(str(path) for path in tap.paths))
            yield tap
    except OSError as error:
        raise ConfigError(f"WRITE_AGENT_PCM: {error}") from error


def _sum_up(
    call: Call, model: ModelConnection, channel: RtcChannel, outcome: Outcome | None, seconds: float
) -> None:
    tally = call.conversation.tally
    _log.info(
        "call over: %s; %.1f s, %d turns, %d answers, %d interruptions, %d audio drops, "
        "%d underruns, %d malformed events, %d tokens",
        outcome.reason if outcome else "cut short",
        seconds,
        tally.turns,
        tally.responses,
        tally.interruptions,
        channel.audio.dropped,
        call.downlink.underruns,
        model.malformed,
        tally.tokens,
    )
