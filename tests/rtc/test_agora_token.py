"""Agora's tokens: against the format, against Agora's own builder, and against its own vectors."""

import base64
import hashlib
import hmac
import importlib
import string
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from agent.config import check_project
from agent.errors import ConfigError
from agent.options import MAX_UID
from agent.rtc import agora_token
from agent.rtc.agora_token import MAX_SALT, build_token

AGORA = Path(sys.prefix) / "agora" / "agora_realtime_ai_api" / "token_builder"
# The project of all of Agora's own tests. No such project is anybody's.
APP_ID = "970CA35de60c44645bbae8a215061b33"
CERTIFICATE = "5CFd2fd1755d40ecb72977518be15d3b"
CHANNEL = "7d72365eb983485397e3e3f9d460bdda"
UID = 2882341273

Builder: TypeAlias = Any
"""Agora's module AccessToken2, which has no types."""


@frozen(kw_only=True)
class Parsed:
    """What a token says, and whether it was signed with a certificate."""

    app_id: str
    issued_at: int
    ttl_s: int
    salt: int
    rights: dict[int, int]
    channel_name: str
    uid: str
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def is_signed_with(self, certificate: str) -> bool:
        key = certificate.encode()
        for number in (self.issued_at, self.salt):
            key = hmac.new(number.to_bytes(4, "little"), key, hashlib.sha256).digest()
        return hmac.new(key, self.signed, hashlib.sha256).digest() == self.signature


class Reader:
    """Takes a token's fields off its front."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, count: int) -> bytes:
        assert count <= len(self.rest)
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def string(self) -> bytes:
        return self.take(self.number(2))


def unpack(token: str) -> bytes:
    """What is in a token. Tokens are compared by it: zlib's own bytes are not the same in all
    builds of Python."""
    assert token.startswith("007")
    return zlib.decompress(base64.b64decode(token[3:], validate=True))


def parse(token: str) -> Parsed:
    """Read a token of one service, RTC, by the format as Agora has it."""
    reader = Reader(unpack(token))
    signature, signed = reader.string(), reader.rest
    app_id = reader.string().decode()
    issued_at, ttl_s, salt = (reader.number(4) for _ in range(3))
    assert (reader.number(2), reader.number(2)) == (1, 1)
    rights = {reader.number(2): reader.number(4) for _ in range(reader.number(2))}
    channel_name, uid = reader.string().decode(), reader.string().decode()
    assert reader.rest == b""
    return Parsed(
        app_id=app_id,
        issued_at=issued_at,
        ttl_s=ttl_s,
        salt=salt,
        rights=rights,
        channel_name=channel_name,
        uid=uid,
        signed=signed,
        signature=signature,
    )


NAMED = string.ascii_letters + string.digits + " !#$%&()+-:;<=.>?@[]^_{}|~,"
digits = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32)
wishes = st.fixed_dictionaries(
    {
        "app_id": digits,
        "certificate": digits,
        "channel_name": st.text(NAMED, min_size=1, max_size=64),
        "uid": st.integers(0, MAX_UID),
        "ttl_s": st.integers(1, 86_400),
        "issued_at": st.integers(1, 2**32 - 1),
        "salt": st.integers(1, MAX_SALT),
    }
)


@given(wishes)
def test_a_token_reads_as_the_format_has_it(wish: dict[str, Any]) -> None:
    parsed = parse(build_token(**wish))
    for name in ("app_id", "channel_name", "ttl_s", "issued_at", "salt"):
        assert getattr(parsed, name) == wish[name]
    assert parsed.uid == ("" if wish["uid"] == 0 else str(wish["uid"]))
    assert parsed.rights == dict.fromkeys([1, 2, 3, 4], wish["ttl_s"])
    assert parsed.is_signed_with(wish["certificate"])
    assert not parsed.is_signed_with(wish["certificate"] + "0")


@pytest.fixture(scope="module")
def agoras() -> Iterator[Builder]:
    """The builder in Agora's wheel, without the rest of the wheel, which needs more."""
    assert AGORA.is_dir(), f"Agora's wheel is not unpacked in {AGORA}: run `make test`"
    name = "_agoras_token_builder"
    package = ModuleType(name)
    package.__path__ = [str(AGORA)]
    sys.modules[name] = package
    try:
        yield importlib.import_module(f"{name}.AccessToken2")
    finally:
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            del sys.modules[module]


@given(wishes)
def test_a_token_is_agoras_own_to_the_byte(agoras: Builder, wish: dict[str, Any]) -> None:
    service = agoras.ServiceRtc(wish["channel_name"], wish["uid"])
    for right in (1, 2, 3, 4):
        service.add_privilege(right, wish["ttl_s"])
    theirs = agoras.AccessToken(
        wish["app_id"], wish["certificate"], issue_ts=wish["issued_at"], expire=wish["ttl_s"]
    )
    theirs._AccessToken__salt = wish["salt"]
    theirs.add_service(service)
    assert build_token(**wish) == theirs.build()


# From github.com/AgoraIO/Tools, DynamicKey/AgoraDynamicKey/python3/test/AccessToken2Test.py:
# test_service_rtc and test_service_rtc_uid_0, which allow to join only, and test_multi_service,
# which allows all four in a token that is for other services, too.
JOIN_ONLY = {
    UID: "007eJxTYBBbsMMnKq7p9Hf/HcIX5kce9b518kCiQgSr5Zrp4X1Tu6UUGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQ"
    "xNDcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiVwMRhYWRsYmhkbmxgDC"
    "aiTj",
    0: "007eJxTYLhzZP08Lxa1Pg57+TcXb/3cZ3wi4V6kbpbOog0G2dOYk20UGCzNDZwdjU1TUs0Mkk1MzExMk5ISUy0SjQxN"
    "DcwMk4yN3b8IMEQwMTAwMoAwBIL4CgzmKeZGxmamqUmWFsYmFqbGluapxqnGaZYpJmYGSSkpiQwMADacImo=",
}
ALL_AND_MORE = (
    "007eJxTYAh5UWu1drfhsnu9etvupS0v/iFs+3PC/Sbl8gdht55xSusqMFiaGzg7GpumpJoZJJuYmJmYJiUlplokGhmaGp"
    "gZJhkbu38RYIhgYmBgZGBgYAWSLEAM4jOBSWYwyQImFRjMU8yNjM1MU5MsLYxNLEyNLc1TjVON0yxTTMwMklJSErkYjCws"
    "jIxNDI3MjZmA5kBM4mQoSS0uiS8tTi1iZmBCMZ40I1mgToSYgCwDAGL1OcI="
)


@pytest.mark.parametrize("uid", JOIN_ONLY)
def test_what_agora_published_is_built(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agora_token, "_PRIVILEGES", (1,))
    token = build_token(APP_ID, CERTIFICATE, CHANNEL, uid, ttl_s=600, issued_at=1111111, salt=1)
    assert unpack(token) == unpack(JOIN_ONLY[uid])


def test_the_four_rights_are_those_that_agora_published() -> None:
    token = build_token(APP_ID, CERTIFICATE, CHANNEL, UID, ttl_s=600, issued_at=1111111, salt=1)
    head = 2 + 32 + 2 + 32 + 3 * 4 + 2  # the last is how many services there are: one, and five
    assert unpack(ALL_AND_MORE)[head:].startswith(unpack(token)[head:])


def test_by_default_it_is_issued_now_and_salted_at_random() -> None:
    before = int(time.time())
    one, other = (parse(build_token(APP_ID, CERTIFICATE, "room", 7, ttl_s=60)) for _ in range(2))
    assert before <= one.issued_at <= other.issued_at <= time.time()
    assert one.salt != other.salt


@pytest.mark.parametrize(("drawn", "salt"), [(0, 1), (-1, MAX_SALT)])
def test_a_random_salt_is_in_agoras_range(
    drawn: int, salt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda limit: drawn % limit)
    assert parse(build_token(APP_ID, CERTIFICATE, "room", 7, ttl_s=60)).salt == salt


BAD_DIGITS = ["", CERTIFICATE[1:], CERTIFICATE + "0", "g" + CERTIFICATE[1:], f"{CERTIFICATE[1:]}\n"]
BAD_DIGITS += [f" {CERTIFICATE[1:]}", "\u0661" * 32]


@pytest.mark.parametrize("value", BAD_DIGITS)
@pytest.mark.parametrize("name", ["AGORA_APP_ID", "AGORA_APP_CERT"])
def test_what_is_no_project_is_refused_without_being_shown(name: str, value: str) -> None:
    app_id, certificate = (value, CERTIFICATE) if name == "AGORA_APP_ID" else (APP_ID, value)
    words = f"^{name}: must be 32 hexadecimal digits$"
    with pytest.raises(ConfigError, match=words):
        check_project(app_id, certificate)
    with pytest.raises(ConfigError, match=words):
        build_token(app_id, certificate, "room", 7, ttl_s=60)


def test_a_project_may_have_no_certificate() -> None:
    check_project(APP_ID, None)
    check_project(APP_ID.lower(), CERTIFICATE.upper())
    with pytest.raises(ConfigError, match="AGORA_APP_ID: must be"):
        check_project("short", None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"channel_name": ""}, "channel_name: must be 1 to 64 characters"),
        ({"channel_name": "a" * 65}, "channel_name: must be 1 to 64 characters"),
        ({"channel_name": "a/b"}, "channel_name: must be 1 to 64 characters"),
        ({"channel_name": "\u00e4"}, "channel_name: must be 1 to 64 characters"),
        ({"uid": -1}, "uid: must be 0 to 4294967295"),
        ({"uid": 2**32}, "uid: must be 0 to 4294967295"),
        ({"ttl_s": 0}, "ttl_s: must be 1 to 86400"),
        ({"ttl_s": 86_401}, "ttl_s: must be 1 to 86400"),
        ({"issued_at": -1}, "issued_at: must be 0 to 4294967295"),
        ({"issued_at": 2**32}, "issued_at: must be 0 to 4294967295"),
        ({"salt": 0}, "salt: must be 1 to 99999999"),
        ({"salt": 100_000_000}, "salt: must be 1 to 99999999"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"channel_name": "a" * 64, "uid": MAX_UID, "ttl_s": 86_400}
    good |= {"issued_at": 0, "salt": 1}
    build_token(APP_ID, CERTIFICATE, **good)
    with pytest.raises(ValueError, match=f"^{words}") as caught:
        build_token(APP_ID, CERTIFICATE, **good | wrong)
    assert CERTIFICATE not in repr(caught.value)
