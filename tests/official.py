"""Holds JSON against the official package's types, more strictly than its client does.

That client takes whatever comes. Here each field has to be of its type, and none may be missing.
"""

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
from openai.types import realtime
from pydantic import BaseModel

from tests.protocol.official import models, type_of

Json = dict[str, Any]


def official_client_event(text: str | bytes) -> Json:
    """A client's event, as JSON. No field, at any depth, may be one that the types do not have.

    :raises AssertionError: the official types do not allow it; says what and where.
    """
    event: Json = orjson.loads(text)
    if event.keys() == {"type", "audio"} and event["type"] == "input_audio_buffer.append":
        base64.b64decode(event["audio"], validate=True)  # there are very many: the short way
        return event
    checked = _checked(event, realtime.RealtimeClientEvent)
    unknown = sorted(unknown_fields(checked, event["type"]))
    assert not unknown, f"the official types do not have {unknown}, in {event}"
    return event


def official_server_event(text: str | bytes) -> Json:
    """A server's event, as JSON. Real servers send some fields that the types do not have.

    :raises AssertionError: the official types do not allow it; says what and where.
    """
    event: Json = orjson.loads(text)
    _checked(event, realtime.RealtimeServerEvent)
    return event


def _checked(event: Json, union: Any) -> BaseModel:
    model = _by_type(union).get(event["type"])
    assert model is not None, f"the official types have no {event['type']}"
    try:
        return model.model_validate(event, strict=True)
    except ValueError as error:
        raise AssertionError(f"the official types do not allow {event}: {error}") from error


def unknown_fields(value: Any, path: str) -> Iterator[str]:
    """The paths of what an official object, or one in it, has beyond its own fields."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}"
        for name, inner in dict(value).items():
            yield from unknown_fields(inner, f"{path}.{name}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from unknown_fields(inner, f"{path}.{at}")


@cache
def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    return {type_of(model): model for model in models(union)}
