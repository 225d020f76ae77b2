"""The bodies that are read by hand, described for /docs."""

from typing import Any

from pydantic import BaseModel


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """An operation's `requestBody`, with references written out: OpenAPI has no place for definitions in it."""
    schema = model.model_json_schema()
    described = _written_out(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": described}}}}


def _written_out(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_written_out(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _written_out(definitions[part["$ref"].rsplit("/", 1)[1]], definitions)
    return {name: _written_out(each, definitions) for name, each in part.items()}
