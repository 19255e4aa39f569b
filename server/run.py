"""One server from start to end: the nursery that owns its supervisor, connections and signals."""

import logging
import socket
import ssl
from typing import Any

import trio
from attrs import Factory, evolve, frozen

from agent.config import EMBEDDED_MODEL, Settings
from agent.listening import authority
from agent.signals import stop_on_signals
from agent.supervisor.supervisor import AgentInfo, Supervisor, Tools, open_supervisor
from server.app import create_app, make_relay
from server.connections.serving import Door, open_server
from server.doors.auth import Keys
from server.operating.failures import kind_of
from server.operating.metrics import Metrics
from server.operating.records import Records
from server.operating.webhook import open_webhook
from server.profiles import ProfilesFile
from server.stages import Stages

_log = logging.getLogger("server")


@frozen
class Start:
    """All that a server is started with.

    :ivar own_key: what the server's own agents call it with; `keys` admits it.
    :ivar listener: listens already; `run` closes it.
    :ivar tools: what its agents may be given of, and
    :ivar profiles: what they may be given in its place.
    :ivar tls: encrypts the listener's connections.
    :ivar inner: with TLS, a second listener without it, on loopback, for the agents: no certificate
        is for the name that they call. It asks for the same keys.
    """

    settings: Settings
    keys: Keys
    own_key: str
    listener: socket.socket
    tools: Tools = Factory(Tools)
    profiles: ProfilesFile = Factory(ProfilesFile)
    tls: ssl.SSLContext | None = None
    inner: socket.socket | None = None


async def run(start: Start) -> None:
    """Serve until SIGINT or SIGTERM, then let the agents go on for the time that they are given,
    then stop them, then close what is open. A second signal ends the time; one more SIGINT ends
    the process at once.
    """
    relay, stages, metrics = make_relay(), Stages(), Metrics()

    def take(info: AgentInfo, event: dict[str, Any]) -> None:
        metrics.take(event, kind_of(info, event))
        records.take(info, event)

    def keep(info: AgentInfo, record: dict[str, Any]) -> None:
        supervisor.events(info.channel_name).add(record)

    def stop(reason: str) -> None:
        if stages.draining.is_set():
            _log.info("%s again: the agents leave now", reason)
            stages.stopping.set()
        else:
            _log.info("%s: the agents leave first", reason)
            stages.draining.set()

    async with trio.open_nursery() as nursery:
        # Where agents may go on, the second ends that.
        await nursery.start(stop_on_signals, stop, 3 if start.settings.drain_s else 2)
        # The server outlives the agents: the channels that they leave are on it, and their records
        # are still to be delivered.
        doors = [Door(start.listener, start.tls)]
        if start.inner is not None:
            doors.append(Door(start.inner))
        per_client = start.settings.connections_per_client
        async with (
            open_server(*doors, per_client=per_client) as server,
            open_webhook(start.settings, metrics) as post,
        ):
            records = Records([keep, post], grew=metrics.grew)
            async with open_supervisor(
                settings_of_agents(start), start.tools, on_event=take
            ) as supervisor:
                app = create_app(
                    start.settings,
                    supervisor,
                    keys=start.keys,
                    relay=relay,
                    stages=stages,
                    profiles=start.profiles,
                    metrics=metrics,
                )
                server.start(app)
                _say_ready(start, supervisor.limit)
                await stages.draining.wait()
                await _drain(supervisor, start.settings.drain_s, stages.stopping)
            stages.closing.set()
            relay.close()
        nursery.cancel_scope.cancel()
    _log.info("stopped")


async def _drain(supervisor: Supervisor, seconds: float, stopping: trio.Event) -> None:
    """Let agents end by themselves, until the time is over or `stopping` is set; then it is."""
    running = len(supervisor.agents())
    if running and seconds:
        _log.info("%d agents may go on for %g s; another signal stops them", running, seconds)
    async with trio.open_nursery() as nursery:

        async def end_when_drained() -> None:
            await supervisor.drain(seconds)
            stopping.set()

        nursery.start_soon(end_when_drained)
        await stopping.wait()
        nursery.cancel_scope.cancel()


def settings_of_agents(start: Start) -> Settings:
    """What the agents of this server are started with: its channels, and its model if embedded."""
    here = authority(start.inner or start.listener)
    # The webhook is the server's, and no agent needs its secret.
    settings = evolve(start.settings, webhook_url=None, webhook_secret=None)
    if settings.local_channel_url is None:
        own_channels = f"ws://{here}/channels"
        settings = evolve(settings, local_channel_url=own_channels, server_api_key=start.own_key)
    if start.settings.embedded:
        settings = evolve(
            settings,
            realtime_api_base_uri=f"ws://{here}/v1/realtime",
            realtime_api_auth="bearer",
            realtime_api_dialect="ga",
            openai_model=EMBEDDED_MODEL,
            openai_api_key=start.own_key,
        )
    return settings


def _say_ready(start: Start, limit: int) -> None:
    model = start.settings.openai_model
    if start.settings.embedded:
        model = f"{EMBEDDED_MODEL}, a demo that needs no key; for a real one set OPENAI_API_KEY"
    scheme = "http" if start.tls is None else "https"
    _log.info("ready: open %s://%s/ (model: %s)", scheme, authority(start.listener), model)
    _log.info("at most %d agents at a time (AGENTS_MAX)", limit)
