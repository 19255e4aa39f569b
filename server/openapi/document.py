"""The OpenAPI document, of the routes that there are and of what they say of themselves."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypeAlias

from quart import Quart
from werkzeug.routing import Rule

from agent.options import AgentOptions
from server.answers import JSON, Failure
from server.faults import Fault, faults_of
from server.openapi.operations import Operation, Says, Takes, operation_of
from server.openapi.schemas import ApiForms, schema_of_options

Json: TypeAlias = dict[str, Any]

_ABOUT: Final = (
    "Starts, shows and stops voice agents. Every error is JSON with `error`, for people, and "
    "`code`, for programs. In an agent's options empty text means unset. Any GET may be a HEAD. "
    "Beside these there are two WebSockets, which OpenAPI cannot describe: /channels/{name}?uid=N "
    "and /v1/realtime."
)
_PLACE: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_METHODS: Final = ("GET", "PUT", "POST", "DELETE")


class Undocumented(LookupError):
    """A route that says nothing of itself; the text names it."""


def document(app: Quart) -> Json:
    """The document for all routes of an application.

    :raises Undocumented: a route says nothing of itself.
    :raises LookupError: one names a fault that is not in the table.
    """
    forms = ApiForms()
    forms.of(Failure)
    paths: Json = {}
    for rule, method, operation in _operations(app):
        path = _PLACE.sub(r"{\1}", rule.rule)
        told = _operation(forms, rule, method, operation)
        paths.setdefault(path, {})[method.lower()] = told
    return {
        "openapi": "3.1.0",
        "info": {"title": "trio-voice-agent", "version": _version(), "description": _ABOUT},
        # Where no keys are configured, none is needed.
        "security": [{}, {"key": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": dict(sorted(forms.definitions.items())),
        },
    }


def _operations(app: Quart) -> Iterator[tuple[Rule, str, Operation]]:
    for rule in app.url_map.iter_rules():
        if rule.websocket:
            continue
        operation = operation_of(app.view_functions[rule.endpoint])
        if operation is None:
            raise Undocumented(f"the route {rule.rule} says nothing of itself: see describes()")
        for method in _METHODS:
            if method in (rule.methods or ()):
                yield rule, method, operation


def _operation(forms: ApiForms, rule: Rule, method: str, told: Operation) -> Json:
    found = faults_of(told.faults, changes=method != "GET", has_body=told.body is not None)
    answers = {status: _says(forms, says) for status, says in told.answers.items()}
    answers |= {status: _fails(faults) for status, faults in found.items()}
    made: Json = {
        "operationId": rule.endpoint.rpartition(".")[2],
        "summary": told.summary,
        "parameters": [*_in_path(forms, rule), *_in_headers(told)],
        "responses": {str(status): answers[status] for status in sorted(answers)},
    }
    if told.body is not None:
        content = {JSON: {"schema": _takes(forms, rule, told.body)}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _says(forms: ApiForms, says: Says) -> Json:
    made: Json = {"description": says.words}
    if says.kind is not None:
        made["content"] = {media: {"schema": forms.of(says.kind).schema} for media in says.media}
    if says.headers:
        made["headers"] = {name: _header(words) for name, words in says.headers.items()}
    return made


def _fails(faults: list[Fault]) -> Json:
    codes = [fault.code for fault in faults]
    told = {"properties": {"code": {"enum": codes}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Failure"}, told]}
    words = "; ".join(f"`{fault.code}`: {fault.when}" for fault in faults)
    made: Json = {"description": words, "content": {JSON: {"schema": schema}}}
    if faults[0].status == HTTPStatus.SERVICE_UNAVAILABLE:
        made["headers"] = {"Retry-After": _header("seconds after which to try again")}
    return made


def _header(words: str) -> Json:
    return {"description": words, "schema": {"type": "string"}}


def _in_path(forms: ApiForms, rule: Rule) -> Iterator[Json]:
    for name in _PLACE.findall(rule.rule):
        told = {"type": "string", "minLength": 1}
        if name == "channel_name":
            told = schema_of_options(forms, [name])["properties"][name]
        yield {"name": name, "in": "path", "required": True, "schema": told}


def _in_headers(told: Operation) -> Iterator[Json]:
    for name, schema in told.headers.items():
        yield {"name": name, "in": "header", "required": False, "schema": dict(schema)}


def _takes(forms: ApiForms, rule: Rule, body: Takes) -> Json:
    if body.kind is not AgentOptions:
        return forms.of(body.kind).schema
    name = f"{rule.endpoint.rpartition('.')[2].title().replace('_', '')}Options"
    forms.definitions[name] = schema_of_options(forms, body.required)
    return {"$ref": f"#/components/schemas/{name}"}


def _version() -> str:
    try:
        return version("trio-voice-agent")
    except PackageNotFoundError:  # run from its folder, without being installed
        return "0"
