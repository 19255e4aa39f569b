"""Where a model is called, and with which headers."""

from base64 import b64decode

import pytest

from agent.streams.model_address import model_address

AZURE = "wss://r.openai.azure.com/openai/v1/realtime"


@pytest.mark.parametrize(
    ("base", "auth", "url", "header"),
    [
        (
            "wss://api.openai.com",
            "bearer",
            "wss://api.openai.com/v1/realtime?model=m",
            (b"Authorization", b"Bearer sk-secret"),
        ),
        (AZURE, "api-key", f"{AZURE}?model=m", (b"api-key", b"sk-secret")),
        (
            f"{AZURE}?model=deployed",
            "api-key",
            f"{AZURE}?model=deployed",
            (b"api-key", b"sk-secret"),
        ),
        (
            "ws://127.0.0.1:9/?trace=1",
            "bearer",
            "ws://127.0.0.1:9/v1/realtime?trace=1&model=m",
            (b"Authorization", b"Bearer sk-secret"),
        ),
        (
            "wss://beta.example/path",
            "basic",
            "wss://beta.example/path?model=m",
            (b"Authorization", b"Basic OnNrLXNlY3JldA=="),
        ),
    ],
)
def test_addresses(base: str, auth: str, url: str, header: tuple[bytes, bytes]) -> None:
    address = model_address(base, "m", key="sk-secret", auth=auth)
    assert (address.url, address.headers) == (url, (header,))
    assert "secret" not in repr(address)
    assert "OpenAI-Beta" not in str(address.headers)


@pytest.mark.parametrize(
    ("key", "pair"), [("secret", b":secret"), ("user:secret", b"user:secret"), ("a:b:c", b"a:b:c")]
)
def test_basic_sends_a_key_as_a_password_or_as_a_pair(key: str, pair: bytes) -> None:
    [(name, value)] = model_address("ws://h", "m", key=key, auth="basic").headers
    scheme, _, credentials = value.partition(b" ")
    assert (name, scheme) == (b"Authorization", b"Basic")
    assert b64decode(credentials) == pair


@pytest.mark.parametrize("auth", ["bearer", "api-key", "basic"])
def test_the_beta_dialect_is_asked_for_in_a_header(auth: str) -> None:
    beta = (b"OpenAI-Beta", b"realtime=v1")
    with_key = model_address("ws://h", "m", key="k", auth=auth, dialect="beta")
    assert with_key.headers[1:] == (beta,)
    assert with_key.headers[:1] == model_address("ws://h", "m", key="k", auth=auth).headers
    assert model_address("ws://h", "m", key=None, auth=auth, dialect="beta").headers == (beta,)
