"""JSON Schemas of what goes in and out, of the classes that it is made into or of."""

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve

from agent.options import AgentOptions
from agent.protocol.base import Model, Unset
from agent.protocol.structuring import own_fields, tags
from agent.tools.forms import Form, Schema
from agent.tools.hints import Forms


class ApiForms(Forms):
    """Forms of which every class is a definition that is referred to, as OpenAPI has them."""

    def _alternatives(self, origin: Any, args: tuple[Any, ...]) -> Form | None:
        # What may be absent in an object of the protocol: the object's own `required` says so.
        return super()._alternatives(origin, tuple(arm for arm in args if arm is not Unset))

    def _named(self, kind: Any, build: Callable[[], Form]) -> Form:
        form = build()
        self.definitions[kind.__name__] = form.schema
        return evolve(form, schema={"$ref": f"#/components/schemas/{kind.__name__}"})

    def _record(self, cls: Any) -> Form:
        return self._model(cls) if issubclass(cls, Model) else super()._record(cls)

    def _model(self, cls: Any) -> Form:
        """An object of the protocol, which may hold more than is known here."""
        form = super()._record(cls)
        told: Schema = form.schema["properties"]
        # The defaults are what stands for an absent field, and no JSON.
        known = {name: _without_default(told[name]) for name in own_fields(cls)}
        fixed = {tag: {"const": getattr(cls, tag)} for tag in tags(cls)}
        schema = form.schema | {"properties": fixed | known, "additionalProperties": True}
        return evolve(form, schema=schema)


def schema_of_options(forms: ApiForms, required: Sequence[str]) -> Schema:
    """The schema of an agent's options, of which these must be there."""
    forms.of(AgentOptions)
    schema = forms.definitions.pop(AgentOptions.__name__)
    properties = {
        name: _without_default(told) if name in required else told
        for name, told in schema["properties"].items()
    }
    return schema | {"properties": properties, "required": list(required)}


def _without_default(told: Schema) -> Schema:
    return {name: value for name, value in told.items() if name != "default"}
