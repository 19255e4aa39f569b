"""Where a realtime model is, and what it is told so that it lets one in."""

from base64 import b64encode
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from attrs import frozen

_Headers = tuple[tuple[bytes, bytes], ...]

MIN_SECRET: Final = 8
_BETA: Final[_Headers] = ((b"OpenAI-Beta", b"realtime=v1"),)


@frozen(kw_only=True)
class ModelAddress:
    """Where a model is and how one is let in.

    :ivar headers: may hold the key, so they are left out of the repr.
    :ivar secrets: what must not be shown, whoever says it: the key, as it is and as it is sent.
    """

    url: str
    headers: _Headers
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ModelAddress({self.shown!r})"

    @property
    def shown(self) -> str:
        """The URL without what may be secret."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def model_address(
    base_uri: str, model: str, *, key: str | None, auth: str, dialect: str = "ga"
) -> ModelAddress:
    """The address of a model.

    Azure OpenAI's is `wss://RESOURCE.openai.azure.com/openai/v1/realtime`, with the name of the
    deployment for the model and `api-key`.

    :param base_uri: ws:// or wss://; without a path `/v1/realtime` is added; a `model=` in its
        query is kept.
    :param auth: `bearer`; `api-key` (Azure); or `basic`, where the key is `user:password`, or
        the password alone of a user without a name, as Agora's earlier sample sent it.
    :param dialect: `ga`; or `beta`, which is asked for in a header.
    """
    parts = urlsplit(base_uri)
    path = parts.path if parts.path.strip("/") else "/v1/realtime"
    query = parts.query
    if "model" not in parse_qs(query):
        query = f"{query}&" * bool(query) + f"model={quote(model, safe='')}"
    headers: _Headers = () if key is None else (_credentials(key, auth),)
    if dialect == "beta":
        headers += _BETA
    return ModelAddress(
        url=f"{parts.scheme}://{parts.netloc}{path}?{query}",
        headers=headers,
        secrets=_secrets(key, headers),
    )


def _secrets(key: str | None, headers: _Headers) -> tuple[str, ...]:
    if key is None:
        return ()
    sent = headers[0][1].decode().rpartition(" ")[2]
    parts = {key, sent, key.rpartition(":")[2]}
    # What is shorter would be found in words that are no secret.
    return tuple(sorted((part for part in parts if len(part) >= MIN_SECRET), key=len, reverse=True))


def _credentials(key: str, auth: str) -> tuple[bytes, bytes]:
    if auth == "api-key":
        return b"api-key", key.encode()
    if auth == "basic":
        pair = key if ":" in key else f":{key}"
        return b"Authorization", b"Basic " + b64encode(pair.encode())
    return b"Authorization", f"Bearer {key}".encode()
