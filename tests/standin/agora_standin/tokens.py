"""Agora's tokens of version 007, read and verified."""

import base64
import binascii
import hashlib
import hmac
import struct
import zlib
from typing import Final

from attrs import define, frozen

VERSION: Final = "007"
RTC: Final = 1
JOIN: Final = 1


class BadToken(ValueError):
    """It is no token, or not one for this."""


@define
class _Reader:
    """Little-endian numbers, and strings with their length before them."""

    rest: bytes

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, self._take(size))
        assert isinstance(value, int)
        return value

    def string(self) -> bytes:
        return self._take(self.number("<H"))

    def _take(self, size: int) -> bytes:
        if len(self.rest) < size:
            raise BadToken("it ends too early")
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken


@frozen
class Token:
    """What a token says.

    :ivar uid: empty for any.
    :ivar expires_at: Unix time when it no longer lets join.
    """

    app_id: str
    channel: str
    uid: str
    expires_at: int
    issued_at: int
    salt: int
    signature: bytes
    signed: bytes

    def is_signed_with(self, certificate: str) -> bool:
        key = _hmac(struct.pack("<I", self.issued_at), certificate.encode())
        key = _hmac(struct.pack("<I", self.salt), key)
        return hmac.compare_digest(self.signature, _hmac(key, self.signed))


def parse(text: str) -> Token:
    """Read a token.

    :raises BadToken: it is none, or lets nobody join a channel.
    """
    if not text.startswith(VERSION):
        raise BadToken("it is not of version 007")
    try:
        body = zlib.decompress(base64.b64decode(text[len(VERSION) :], validate=True))
    except (binascii.Error, zlib.error) as error:
        raise BadToken(str(error)) from error
    reader = _Reader(body)
    signature, signed = reader.string(), reader.rest
    app_id = reader.string().decode("ascii")
    issued_at, expire, salt = (reader.number("<I") for _ in range(3))
    if reader.number("<H") < 1 or reader.number("<H") != RTC:
        raise BadToken("its first service is not RTC")
    privileges = {reader.number("<H"): reader.number("<I") for _ in range(reader.number("<H"))}
    if JOIN not in privileges:
        raise BadToken("it does not let join")
    return Token(
        app_id=app_id,
        channel=reader.string().decode(),
        uid=reader.string().decode(),
        expires_at=issued_at + min(expire, privileges[JOIN]),
        issued_at=issued_at,
        salt=salt,
        signature=signature,
        signed=signed,
    )


def verify(text: str, *, app_id: str, certificate: str, channel: str, uid: str) -> Token:
    """The token, if it lets this user into this channel; whether it is still good it leaves open.

    :raises BadToken: it does not.
    """
    token = parse(text)
    if not token.is_signed_with(certificate):
        raise BadToken("its signature is wrong")
    wanted = {"app_id": app_id, "channel": channel, "uid": token.uid and uid}
    for name, value in wanted.items():
        if getattr(token, name) != value:
            raise BadToken(f"its {name} is {getattr(token, name)!r}, not {value!r}")
    return token


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
