"""What FastAPI cannot see of the operations, described for /docs: bodies and queries read by hand, keys, refusals."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from ringback.web.answers import ProblemAnswer
from ringback.web.problem import MEDIA_TYPE

Described = dict[str, Any]

#: What every operation may answer, whatever it is asked.
ALWAYS = (401, 403, 413, 422, 500, 503)
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request gets the first answer again.",
    "schema": {"type": "string", "pattern": r"^[\x20-\x7e]{1,255}$"},
}


class Application(FastAPI):
    """FastAPI, with the rest of what its operations take and answer in /openapi.json."""

    def openapi(self) -> Described:
        if self.openapi_schema is None:
            _complete(super().openapi())
        assert self.openapi_schema is not None, "FastAPI keeps what it made"
        return self.openapi_schema


def body_of(model: type[BaseModel]) -> Described:
    """An operation's `requestBody`, with references written out: OpenAPI has no place for definitions in it."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema_of(model)}}}}


def query_of(model: type[BaseModel]) -> Described:
    """An operation's query parameters; none is required, and an empty one counts as absent."""
    properties = _schema_of(model)["properties"]
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()
        ]
    }


def with_idempotency_key(described: Described) -> Described:
    return {**described, "parameters": [*described.get("parameters", []), _IDEMPOTENCY_KEY]}


def answers(status: int, model: type[BaseModel] | None, *refusals: int) -> dict[int | str, Described]:
    """The `responses` of a route: its success, and the refusals that not every operation knows."""
    described: dict[int | str, Described] = {
        each: {"description": HTTPStatus(each).phrase} for each in (status, *refusals)
    }
    if model is not None:
        described[status]["model"] = model
    return described


def _complete(schema: Described) -> None:
    components = schema.setdefault("components", {})
    described = components.setdefault("schemas", {})
    # FastAPI's own shape of a 422, which is never answered.
    for unused in ("HTTPValidationError", "ValidationError"):
        described.pop(unused, None)
    described["Problem"] = _schema_of(ProblemAnswer)
    components["securitySchemes"] = _KEYS
    schema["security"] = [{name: []} for name in _KEYS]
    for operations in schema["paths"].values():
        for operation in operations.values():
            _add_refusals(operation["responses"])


def _add_refusals(responses: Described) -> None:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused = {status for status in responses if int(status) >= 400} | {str(status) for status in ALWAYS}
    for status in sorted(refused):
        responses[status] = {"description": HTTPStatus(int(status)).phrase, "content": problem}


def _schema_of(model: type[BaseModel]) -> Described:
    schema = model.model_json_schema()
    written: Described = _written_out(schema, schema.pop("$defs", {}))
    return written


def _written_out(part: Any, definitions: Described) -> Any:
    if isinstance(part, list):
        return [_written_out(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        rest = {name: each for name, each in part.items() if name != "$ref"}
        return _written_out(definitions[part["$ref"].rsplit("/", 1)[1]], definitions) | rest
    return {name: _written_out(each, definitions) for name, each in part.items()}
