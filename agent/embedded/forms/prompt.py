"""The form of a stored prompt's reference, and of what is put in place of its variables."""

from typing import Final

from agent.embedded.forms.checks import either, fields, mapping, nullable, one_of, tagged, text

_BREAKPOINT: Final = fields(
    {"mode": one_of("explicit"), "ttl": nullable(one_of("30m", "12h"))}, required=("mode",)
)
_CACHED: Final = {"type": text(), "prompt_cache_breakpoint": nullable(_BREAKPOINT)}
_VARIABLE: Final = tagged(
    "type",
    {
        "input_text": fields(_CACHED | {"text": text()}, ("text",)),
        "input_image": fields(
            _CACHED
            | {
                "detail": nullable(one_of("low", "high", "auto", "original")),
                "file_id": nullable(text()),
                "image_url": nullable(text()),
            }
        ),
        "input_file": fields(
            _CACHED
            | {
                "detail": nullable(one_of("auto", "low", "high")),
                "file_data": nullable(text()),
                "file_id": nullable(text()),
                "file_url": nullable(text()),
                "filename": nullable(text()),
            }
        ),
    },
)
PROMPT: Final = fields(
    {
        "id": text(),
        "version": nullable(text()),
        "variables": nullable(mapping(either(dict, _VARIABLE, text()))),
    },
    required=("id",),
)
