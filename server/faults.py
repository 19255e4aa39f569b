"""Every error that the server answers with: status, stable `code`, and when.

The document at `/openapi.json` is made of this table; a test holds the code against it.
"""

from typing import Final, Literal, TypeAlias

from attrs import frozen

Where: TypeAlias = Literal["here and there", "everywhere", "changes", "bodies"]


@frozen
class Fault:
    """One error.

    :ivar when: in what case, for people.
    :ivar where: `everywhere`; with all requests that have `bodies`; with all that are `changes`; or
        where a route says so.
    """

    status: int
    code: str
    when: str
    where: Where = "here and there"


FAULTS: Final = (
    Fault(400, "invalid_request", "the request is at fault; `details` says where"),
    Fault(400, "agent_already_running", "the channel has an agent"),
    Fault(400, "bad_request", "the address is a WebSocket's, and the request is none"),
    Fault(401, "unauthorized", "there is no valid key in it", "everywhere"),
    Fault(401, "key_in_query", "the key is in the URL, where logs would keep it", "everywhere"),
    Fault(401, "ticket_expired", "the ticket is too old", "everywhere"),
    Fault(401, "ticket_invalid", "the ticket is none of this server's keys", "everywhere"),
    Fault(403, "foreign_host", "without keys only localhost is served", "everywhere"),
    Fault(403, "foreign_origin", "the request is from another site's page", "everywhere"),
    Fault(403, "ticket_scope", "no ticket allows this: it needs a key", "everywhere"),
    Fault(403, "ticket_options", "no ticket allows such options", "changes"),
    Fault(403, "ticket_channel", "the ticket is for another channel", "everywhere"),
    Fault(404, "not_found", "there is nothing at this address"),
    Fault(404, "agent_not_found", "the channel has no agent"),
    Fault(404, "agora_not_configured", "the server has no Agora project"),
    Fault(405, "method_not_allowed", "the method is none of those in `Allow`"),
    Fault(408, "request_timeout", "the body does not come", "bodies"),
    Fault(409, "agent_already_running", "the channel has another agent"),
    Fault(409, "uid_taken", "the channel's agent has this uid"),
    Fault(413, "request_entity_too_large", "the body is too long", "bodies"),
    Fault(422, "idempotency_key_reused", "the key was sent with another request before"),
    Fault(429, "rate_limited", "too often; `Retry-After` says when to try again", "everywhere"),
    Fault(500, "internal_server_error", "an error of the server's own", "everywhere"),
    Fault(500, "start_failed", "the agent ended before it was in its channel"),
    Fault(501, "embedded_not_installed", "the embedded model is not installed"),
    Fault(503, "shutting_down", "the server is being stopped", "changes"),
    Fault(503, "too_many_agents", "there is no room; `Retry-After` says when to try again"),
    Fault(504, "join_timeout", "the agent was not in its channel in time"),
)


def faults_of(
    named: frozenset[tuple[int, str]], *, changes: bool, has_body: bool
) -> dict[int, list[Fault]]:
    """What a route may answer, by status.

    :param named: by the route itself, as (status, code).
    :raises LookupError: it names one that is not in the table.
    """
    if unknown := named - {(fault.status, fault.code) for fault in FAULTS}:
        raise LookupError(f"not in the table of faults: {sorted(unknown)}")
    wheres = {"everywhere"} | ({"changes"} if changes else set())
    wheres |= {"bodies"} if has_body else set()
    found: dict[int, list[Fault]] = {}
    for fault in FAULTS:
        if fault.where in wheres or (fault.status, fault.code) in named:
            found.setdefault(fault.status, []).append(fault)
    return found
