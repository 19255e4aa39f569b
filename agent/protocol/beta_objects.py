"""The beta dialect's sessions, responses and items, to and from the GA ones, as JSON objects.

Beta sessions and responses are flat where GA has an `audio` object: most of a translation is to
move a value from one path to another. A value that is not of the expected form, or whose new
place is taken already, stays where it is, so that nothing raises and nothing is lost. No input is
changed.

The two shapes are those of `openai.types.beta.realtime` and `openai.types.realtime`.
"""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from attrs import frozen

Json: TypeAlias = dict[str, Any]
_Path: TypeAlias = tuple[str, ...]

_ABSENT: Final = object()
_BOTH: Final = (["audio", "text"], ["text", "audio"])
_FORMATS: Final[dict[str, Json]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
# GA may leave the rate out, or say the only one that there is.
_FORMAT_NAMES: Final = {
    ("audio/pcm", 24000): "pcm16",
    ("audio/pcm", None): "pcm16",
    ("audio/pcmu", 8000): "g711_ulaw",
    ("audio/pcmu", None): "g711_ulaw",
    ("audio/pcma", 8000): "g711_alaw",
    ("audio/pcma", None): "g711_alaw",
}
_ITEM: Final = "realtime.item"
_TO_GA_CONTENT: Final = {"text": "output_text", "audio": "output_audio"}
_TO_BETA_CONTENT: Final = {"output_text": "text", "output_audio": "audio"}


def session_to_beta(session: Any) -> Any:
    """A session, or what a client asks of it. `type` goes, where it is that of all beta sessions.

    `temperature`, and whatever else has no other name here, passes as it is.
    """
    return _without_type(_to_beta(session, _SESSION))


def session_from_beta(session: Any) -> Any:
    """A session, or what a client asks of it. GA requires `type`."""
    changed = _from_beta(session, _SESSION)
    return {"type": "realtime", **changed} if isinstance(changed, dict) else changed


def params_to_beta(params: Any) -> Any:
    """What `response.create` asks for."""
    return _with(_to_beta(params, _PARAMS), "input", _each(content_to_beta))


def params_from_beta(params: Any) -> Any:
    """What `response.create` asks for."""
    return _with(_from_beta(params, _PARAMS), "input", _each(content_from_beta))


def response_to_beta(response: Any) -> Any:
    """A response. Its `max_output_tokens` has that name in both dialects."""
    return _with(_to_beta(response, _RESPONSE), "output", _each(item_to_beta))


def response_from_beta(response: Any) -> Any:
    """A response."""
    return _with(_from_beta(response, _RESPONSE), "output", _each(item_from_beta))


def item_to_beta(item: Any) -> Any:
    """An item as a beta server tells it."""
    return {"object": _ITEM, **content_to_beta(item)} if isinstance(item, dict) else item


def item_from_beta(item: Any) -> Any:
    """An item that a beta server tells. A GA server does not say what object it is."""
    if isinstance(item, dict) and item.get("object") == _ITEM:
        item = {name: value for name, value in item.items() if name != "object"}
    return content_from_beta(item)


def content_to_beta(item: Any) -> Any:
    """An item as a client creates it, who need not say what object it is."""
    return _with_content(item, _TO_BETA_CONTENT)


def content_from_beta(item: Any) -> Any:
    """An item as a client creates it."""
    return _with_content(item, _TO_GA_CONTENT)


# -- values -------------------------------------------------------------------------------------


def _modalities_to_beta(value: Any) -> Any:
    return ["audio", "text"] if value == ["audio"] else value


def _modalities_from_beta(value: Any) -> Any:
    return ["audio"] if value in _BOTH else value


def _format_to_beta(value: Any) -> Any:
    if not isinstance(value, dict) or not value.keys() <= {"type", "rate"}:
        return value
    name, rate = value.get("type"), value.get("rate")
    if not isinstance(name, str) or not isinstance(rate, int | None):
        return value
    return _FORMAT_NAMES.get((name, rate), name if "rate" not in value else value)


def _format_from_beta(value: Any) -> Any:
    # A name that is not known here still becomes an object, which is what GA's readers expect.
    return {**_FORMATS.get(value, {"type": value})} if isinstance(value, str) else value


def _as_it_is(value: Any) -> Any:
    return value


def _without_type(session: Any) -> Any:
    if isinstance(session, dict) and session.get("type") == "realtime":
        return {name: value for name, value in session.items() if name != "type"}
    return session


def _with_content(item: Any, types: dict[str, str]) -> Any:
    if not isinstance(item, dict) or item.get("role") != "assistant":
        return item
    return _with(item, "content", _each(lambda part: _retyped(part, types)))


def _retyped(part: Any, types: dict[str, str]) -> Any:
    name = part.get("type") if isinstance(part, dict) else None
    return {**part, "type": types[name]} if isinstance(name, str) and name in types else part


def _with(value: Any, name: str, change: Callable[[Any], Any]) -> Any:
    """An object with one of its fields changed, where it is an object that has this field."""
    if isinstance(value, dict) and name in value:
        return {**value, name: change(value[name])}
    return value


def _each(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: [change(item) for item in value] if isinstance(value, list) else value


# -- places -------------------------------------------------------------------------------------


@frozen
class _Field:
    """One value that has another place, and perhaps another form, in each dialect."""

    beta: _Path
    ga: _Path
    to_beta: Callable[[Any], Any] = _as_it_is
    from_beta: Callable[[Any], Any] = _as_it_is


def _format(beta: str, *ga: str) -> _Field:
    return _Field((beta,), ga, _format_to_beta, _format_from_beta)


_RESPONSE: Final = (
    _Field(("modalities",), ("output_modalities",), _modalities_to_beta, _modalities_from_beta),
    _Field(("voice",), ("audio", "output", "voice")),
    _format("output_audio_format", "audio", "output", "format"),
)
_PARAMS: Final = (
    *_RESPONSE,
    _Field(("max_response_output_tokens",), ("max_output_tokens",)),
)
_SESSION: Final = (
    *_PARAMS,
    _Field(("speed",), ("audio", "output", "speed")),
    _format("input_audio_format", "audio", "input", "format"),
    _Field(("input_audio_transcription",), ("audio", "input", "transcription")),
    _Field(("input_audio_noise_reduction",), ("audio", "input", "noise_reduction")),
    _Field(("turn_detection",), ("audio", "input", "turn_detection")),
)


def _to_beta(value: Any, fields: tuple[_Field, ...]) -> Any:
    if isinstance(value, dict):
        for field in fields:
            value = _moved(value, field.ga, field.beta, field.to_beta)
    return value


def _from_beta(value: Any, fields: tuple[_Field, ...]) -> Any:
    if isinstance(value, dict):
        for field in fields:
            value = _moved(value, field.beta, field.ga, field.from_beta)
    return value


def _moved(value: Json, source: _Path, target: _Path, change: Callable[[Any], Any]) -> Json:
    """The object with what is at one path at another; as it was, where that cannot be."""
    found = _at(value, source)
    if found is _ABSENT:
        return value
    changed = _put(_taken(value, source), target, change(found))
    return value if changed is None else changed


def _at(value: Any, path: _Path) -> Any:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _taken(value: Json, path: _Path) -> Json:
    """Without what is at a path, and without the objects that are empty for it."""
    name, *rest = path
    left = {other: item for other, item in value.items() if other != name}
    inner = _taken(value[name], tuple(rest)) if rest else {}
    return {**left, name: inner} if inner else left


def _put(value: Json, path: _Path, what: Any) -> Json | None:
    """With a value at a path; None where something is in the way."""
    name, *rest = path
    if not rest:
        return None if name in value else {**value, name: what}
    inner = value.get(name, {})
    changed = _put(inner, tuple(rest), what) if isinstance(inner, dict) else None
    return None if changed is None else {**value, name: changed}
