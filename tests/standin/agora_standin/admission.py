"""Who may join: the application, the channel's name, the token."""

import re
import time
from typing import Final

from .plan import Plan
from .tokens import verify

BAD_APP_ID: Final = 6
BAD_CHANNEL: Final = 7
BAD_TOKEN: Final = 8
TOKEN_EXPIRED: Final = 9
CHANNEL_NAME = re.compile(r"[a-zA-Z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]{1,64}")
MAX_UID: Final = 2**32 - 1


class Refused(Exception):
    """The cloud does not let it in.

    :ivar reason: as the SDK counts them.
    """

    def __init__(self, reason: int) -> None:
        super().__init__(f"refused for reason {reason}")
        self.reason = reason


def is_uid(uid: str) -> bool:
    """Whether it is a number that may be a user's, or 0."""
    return uid.isdecimal() and int(uid) <= MAX_UID


def admit(plan: Plan, *, app_id: str, token: str, channel: str, uid: str) -> float | None:
    """Let someone in, or keep them in with a new token.

    :returns: how many seconds the token lasts; ``None`` for ever.
    :raises Refused: it may not.
    """
    if plan.app_id and app_id != plan.app_id:
        raise Refused(BAD_APP_ID)
    if not CHANNEL_NAME.fullmatch(channel):
        raise Refused(BAD_CHANNEL)
    life_s = _token_life(plan, app_id, token, channel, uid) if plan.certificate else None
    return life_s if plan.token_life_s is None else plan.token_life_s


def _token_life(plan: Plan, app_id: str, token: str, channel: str, uid: str) -> float:
    try:
        known = verify(token, app_id=app_id, certificate=plan.certificate, channel=channel, uid=uid)
    except ValueError as error:
        raise Refused(BAD_TOKEN) from error
    life_s = known.expires_at - time.time()
    if life_s <= 0:
        raise Refused(TOKEN_EXPIRED)
    return life_s
