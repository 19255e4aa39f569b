"""Agora's tokens, version 007: each lets one user into one channel for a time.

They are built here and not by Agora's own builder, because the server makes them for its clients
without that being installed, and because that one answers wrong input with an empty string and
takes time and salt from no argument.
"""

import base64
import hmac
import secrets
import struct
import time
import zlib
from typing import Final

from attrs import field, fields, frozen

from agent.checks import BadField, in_range
from agent.config import check_project
from agent.options import MAX_UID, AgentOptions

MAX_TTL_S: Final = 86_400
MAX_SALT: Final = 99_999_999
_RTC: Final = 1
# To join, and to send audio, video and data.
_PRIVILEGES: Final = (1, 2, 3, 4)


@frozen(kw_only=True)
class _Grant:
    channel_name: str = field(validator=fields(AgentOptions).channel_name.validator)
    uid: int = field(validator=in_range(0, MAX_UID))
    ttl_s: int = field(validator=in_range(1, MAX_TTL_S))
    issued_at: int = field(validator=in_range(0, 2**32 - 1))
    salt: int = field(validator=in_range(1, MAX_SALT))


def build_token(
    app_id: str,
    certificate: str,
    channel_name: str,
    uid: int,
    *,
    ttl_s: int,
    issued_at: int | None = None,
    salt: int | None = None,
) -> str:
    """A token with which a user may join a channel and send whatever there is to send.

    :param uid: the user; 0 lets in a user of any uid.
    :param ttl_s: seconds from `issued_at` that it is good for, all of its rights alike.
    :param issued_at: seconds since 1970, by default now.
    :param salt: 1 to `MAX_SALT`, by default random.
    :raises ConfigError: the project's id or certificate is none.
    :raises ValueError: another argument is out of its range; the text names it.
    """
    check_project(app_id, certificate)
    try:
        grant = _Grant(
            channel_name=channel_name,
            uid=uid,
            ttl_s=ttl_s,
            issued_at=int(time.time()) if issued_at is None else issued_at,
            salt=1 + secrets.randbelow(MAX_SALT) if salt is None else salt,
        )
    except BadField as error:
        raise ValueError(f"{error.name}: {error}") from None
    signed = _text(app_id.encode()) + _pack(grant)
    body = _text(_digest(_key(certificate, grant), signed)) + signed
    return "007" + base64.b64encode(zlib.compress(body)).decode()


def _pack(grant: _Grant) -> bytes:
    services = 1
    head = struct.pack("<IIIH", grant.issued_at, grant.ttl_s, grant.salt, services)
    rights = struct.pack("<HH", _RTC, len(_PRIVILEGES))
    rights += b"".join(struct.pack("<HI", right, grant.ttl_s) for right in _PRIVILEGES)
    user = str(grant.uid or "")
    return head + rights + _text(grant.channel_name.encode()) + _text(user.encode())


def _key(certificate: str, grant: _Grant) -> bytes:
    # The certificate is the message here and the time is the key: Agora has it so.
    of_time = _digest(struct.pack("<I", grant.issued_at), certificate.encode())
    return _digest(struct.pack("<I", grant.salt), of_time)


def _digest(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value
