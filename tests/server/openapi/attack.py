"""Requests that fit an OpenAPI document, and such as do not, against a running server."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks

from tests.server.helpers import LIMIT_S

PROVING = settings.default is not None and settings.default.max_examples > 100
EXAMPLES = 150 if PROVING else 4
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


def attack(told: dict[str, Any], here: str) -> set[tuple[str, int]]:
    """Send each operation what fits it and, where it has a body, what does not.

    Runs on a thread: it does not know Trio.

    :returns: the operations, each with the statuses that it answered.
    """
    load_all_checks()
    found: set[tuple[str, int]] = set()
    for result in schemathesis.openapi.from_dict(told).get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # else its document is bad
        attack_one(operation, GenerationMode.POSITIVE, here, found)
        if "requestBody" in operation.definition.raw:
            attack_one(operation, GenerationMode.NEGATIVE, here, found)
    return found


def attack_one(
    operation: Any, mode: GenerationMode, here: str, found: set[tuple[str, int]]
) -> None:
    name = operation.definition.raw["operationId"]

    @settings(
        max_examples=EXAMPLES,
        derandomize=not PROVING,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(base_url=here, timeout=LIMIT_S)
        found.add((name, response.status_code))
        case.validate_response(response, checks=CHECKS)

    send()
