"""Tokens for the people who meet an agent in an Agora channel."""

from typing import TypedDict

from quart import Blueprint, Response, request

from agent.config import Settings, check_project
from agent.rtc.agora_token import build_token
from server.answers import answer, failure
from server.bodies import TokenRequest, read_token_request
from server.openapi.operations import Says, Takes, describes
from server.starting import Agents


class Token(TypedDict):
    """What a person joins an Agora channel with.

    :ivar token: null where the project needs none.
    """

    app_id: str
    channel_name: str
    uid: int
    token: str | None
    expires_in_s: int | None


def agora_routes(settings: Settings, agents: Agents) -> Blueprint:
    """`/agora_token`.

    :raises ConfigError: the Agora project of the settings can be none.
    """
    routes = Blueprint("agora", __name__)
    app_id = settings.agora_app_id
    if app_id is not None:
        check_project(app_id, settings.agora_app_cert)

    @routes.post("/agora_token")
    @describes(
        "Makes a token for a person",
        {200: Says("the token", Token)},
        (400, "invalid_request"),
        (404, "agora_not_configured"),
        (409, "uid_taken"),
        body=Takes(TokenRequest),
    )
    async def agora_token() -> Response:
        if app_id is None:
            return failure(404, "agora_not_configured", "This server has no AGORA_APP_ID")
        wanted = await read_token_request(request)
        if _is_agent(agents, wanted):
            text = f"The agent in channel {wanted.channel_name} has this uid"
            return failure(409, "uid_taken", text)
        return _token(settings, app_id, wanted)

    return routes


def _is_agent(agents: Agents, wanted: TokenRequest) -> bool:
    taken = {(info.channel_name, info.uid) for info in agents.agents()}
    return (wanted.channel_name, wanted.uid) in taken


def _token(settings: Settings, app_id: str, wanted: TokenRequest) -> Response:
    told = Token(
        app_id=app_id,
        channel_name=wanted.channel_name,
        uid=wanted.uid,
        token=None,
        expires_in_s=None,
    )
    certificate, ttl_s = settings.agora_app_cert, settings.agora_token_ttl_s
    # A project without a certificate lets in whoever knows its id.
    if certificate is not None:
        token = build_token(app_id, certificate, wanted.channel_name, wanted.uid, ttl_s=ttl_s)
        told |= {"token": token, "expires_in_s": ttl_s}
    return answer(told)
