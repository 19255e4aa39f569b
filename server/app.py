"""The application: what a request meets, from the guard to its route."""

import random
import secrets
import time
from typing import Final

import trio
from quart import Response
from quart_trio import QuartTrio

from agent.config import Settings
from agent.options import MAX_UID
from server.answers import bad_request, dress
from server.bodies import BODY_BYTES, BadBody
from server.connections.websockets import Websocket, WebsocketConnection
from server.doors.auth import Keys
from server.doors.callers import Callers
from server.doors.cors import Origins, cors
from server.doors.guard import Doors, guard, make_doors
from server.doors.tickets import Tickets
from server.operating.metrics import Metrics
from server.profiles import ProfilesFile
from server.relay.channels import Relay
from server.repeating import Repeating
from server.routes.agents import agent_routes
from server.routes.agora import agora_routes
from server.routes.channels import channel_routes
from server.routes.openapi import openapi_routes
from server.routes.operating import operating_routes
from server.routes.pages import page_routes
from server.routes.realtime import realtime_routes
from server.routes.resources import resource_routes
from server.routes.tickets import ticket_routes
from server.stages import Stages
from server.starting import Agents, Starter

# A body of 64 KiB that takes longer than this comes from nobody who means well.
_BODY_S: Final = 20


class App(QuartTrio):
    """Quart on Trio, with WebSockets of our own."""

    asgi_websocket_class = WebsocketConnection
    websocket_class = Websocket


def create_app(
    settings: Settings,
    agents: Agents,
    *,
    keys: Keys,
    relay: Relay | None = None,
    stages: Stages | None = None,
    profiles: ProfilesFile | None = None,
    metrics: Metrics | None = None,
    tickets: Tickets | None = None,
) -> App:
    """The application, without a server or a supervisor of its own.

    :param settings: the operator's, which tell what model is in use.
    :param agents: the supervisor.
    :param relay: the local channels.
    :param stages: set by the owner when the server stops.
    :param profiles: those that a request may name; by default there are none.
    :param metrics: what `/metrics` tells, of these agents too.
    :param tickets: what browsers get in place of a key.
    :raises ConfigError: the Agora project of the settings can be none.
    """
    # No static route of Quart's own: that would answer for files outside of /web/.
    app = App(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES
    app.config["BODY_TIMEOUT"] = _BODY_S
    app.url_map.merge_slashes = False  # a redirect would lose a WebSocket
    stages = stages or Stages()
    doors = _doors(settings, Callers(keys, tickets or make_tickets(keys)))
    dress(app)
    app.register_error_handler(BadBody, _bad_body)
    cors(app, doors.origins)
    guard(app, doors, stages)
    app.register_blueprint(page_routes())
    starter = Starter(agents, profiles or ProfilesFile(), doors.callers)
    repeating = Repeating(doors.callers)
    app.register_blueprint(agent_routes(settings, agents, doors.callers, starter, repeating))
    app.register_blueprint(resource_routes(agents, doors.callers, starter, repeating))
    metrics = metrics or Metrics()
    relay = relay or make_relay()
    metrics.look_at(agents.agents, lambda: relay.dropped)
    app.register_blueprint(operating_routes(settings, agents, stages, metrics))
    app.register_blueprint(agora_routes(settings, agents))
    app.register_blueprint(ticket_routes(doors.callers, starter))
    app.register_blueprint(channel_routes(relay))
    app.register_blueprint(realtime_routes(settings, stages))
    app.register_blueprint(openapi_routes())
    return app


async def _bad_body(error: BadBody) -> Response:
    return bad_request(error.details)


def make_tickets(keys: Keys) -> Tickets:
    """Tickets with a secret of their own, by the machine's clock."""
    return Tickets(keys, secrets.token_bytes(32), time.time)


def _doors(settings: Settings, callers: Callers) -> Doors:
    per_minute, burst = settings.rate_limit_per_minute, settings.rate_limit_burst
    origins = Origins(settings.cors_origins)
    return make_doors(callers, origins, per_minute, burst, trio.current_time)


def make_relay() -> Relay:
    """The local channels, with Trio's clock and random uids."""
    return Relay(lambda: random.randint(1, MAX_UID), trio.current_time)
