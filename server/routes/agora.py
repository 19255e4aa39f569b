"""Tokens for the people who meet an agent in an Agora channel."""

from quart import Blueprint, Response, request

from agent.config import Settings, check_project
from agent.rtc.agora_token import build_token
from server.answers import answer, bad_request, failure
from server.bodies import BadBody, TokenRequest, read_token_request
from server.routes.agents import Agents


def agora_routes(settings: Settings, agents: Agents) -> Blueprint:
    """`/agora_token`.

    :raises ConfigError: the Agora project of the settings can be none.
    """
    routes = Blueprint("agora", __name__)
    app_id = settings.agora_app_id
    if app_id is not None:
        check_project(app_id, settings.agora_app_cert)

    @routes.post("/agora_token")
    async def agora_token() -> Response:
        if app_id is None:
            return failure(404, "agora_not_configured", "This server has no AGORA_APP_ID")
        try:
            wanted = await read_token_request(request)
        except BadBody as error:
            return bad_request(error.details)
        if _is_agent(agents, wanted):
            text = f"The agent in channel {wanted.channel_name} has this uid"
            return failure(409, "uid_taken", text)
        return _token(settings, app_id, wanted)

    return routes


def _is_agent(agents: Agents, wanted: TokenRequest) -> bool:
    taken = {(info.channel_name, info.uid) for info in agents.agents()}
    return (wanted.channel_name, wanted.uid) in taken


def _token(settings: Settings, app_id: str, wanted: TokenRequest) -> Response:
    told = {"app_id": app_id, "channel_name": wanted.channel_name, "uid": wanted.uid}
    certificate, ttl_s = settings.agora_app_cert, settings.agora_token_ttl_s
    if certificate is None:
        # Such a project lets in whoever knows its id.
        return answer(told | {"token": None, "expires_in_s": None})
    token = build_token(app_id, certificate, wanted.channel_name, wanted.uid, ttl_s=ttl_s)
    return answer(told | {"token": token, "expires_in_s": ttl_s})
