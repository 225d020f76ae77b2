"""The description of the API: its OpenAPI document with the events to Engage, and /docs, which is Swagger UI."""

from http import HTTPStatus
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ringback.web.event_models import EVENT_MODELS
from ringback.web.event_reference import read_examples
from ringback.web.problems import MEDIA_TYPE
from ringback.web.response_models import AnswerModel, Problem
from ringback.web.strict_route import model_of

#: The refusals of every operation; each route declares its others.
ALWAYS = (401, 403, 413, 422, 500, 503)
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_EVENT_MEDIA_TYPE = "application/cloudevents+json"
_EVENT_HEADERS = {
    "webhook-id": "The id of the event. A repeat has the same.",
    "webhook-timestamp": "When it was sent, in seconds since 1970. A repeat has a new one.",
    "webhook-signature": "`v1,` and the signature over id, time and body (Standard Webhooks 1.0).",
}
_EVENT_ANSWERS = {
    "2XX": "The event is stored. It is not sent again.",
    "408": "Send it again later, as for 425 and 429.",
    "4XX": "Refused. It is sent five times in all, then it is a dead letter.",
    "5XX": "Send it again later.",
}

#: Swagger UI styles its elements inline; scripts come from files alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
#: From the wheel of fastapi-offline.
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}

# Addresses are relative to /docs, so that they hold behind a prefix too.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<title>Ringback</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without the validator's badge, for which Swagger UI would send the document's address elsewhere.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


class Application(FastAPI):
    """FastAPI, whose description also has examples, the keys, and the refusals of every operation."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is not None:
            return self.openapi_schema
        # Here and not at the start, because few processes are ever asked, and the models take a sixth of a start.
        if any(isinstance(route, APIRoute) for route in self.routes):
            self.webhooks.include_router(event_webhooks())
        schema = super().openapi()
        for route in self.routes:
            if isinstance(route, APIRoute) and route.include_in_schema:
                for method in route.methods or ():
                    operation = schema["paths"][route.path_format][method.lower()]
                    _add_examples(operation, route)
                    _add_refusals(operation["responses"])
        examples = {event["type"]: event for events in read_examples().values() for event in events}
        custom = examples["lead_qualified"]
        for name, methods in schema.get("webhooks", {}).items():
            operation = methods["post"]
            content = operation["requestBody"]["content"]
            content[_EVENT_MEDIA_TYPE] = content.pop("application/json") | {"example": examples.get(name, custom)}
            operation["parameters"] = [
                {"in": "header", "name": header, "required": True, "description": means, "schema": {"type": "string"}}
                for header, means in _EVENT_HEADERS.items()
            ]
            operation["responses"] = {status: {"description": means} for status, means in _EVENT_ANSWERS.items()}
            # No key of Ringback's is asked for: the signature is the proof.
            operation["security"] = []
        components = schema.setdefault("components", {})
        models = components.setdefault("schemas", {})
        # FastAPI's own shape of a 422, which is never answered.
        for unused in ("HTTPValidationError", "ValidationError"):
            models.pop(unused, None)
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        models |= problem.pop("$defs") | {"Problem": problem}
        components["securitySchemes"] = _KEYS
        schema["security"] = [{name: []} for name in _KEYS]
        return schema


def _add_examples(operation: dict[str, Any], route: APIRoute) -> None:
    """Give the operation the examples of its models. FastAPI would drop every null from them."""
    if isinstance(route.response_model, type) and issubclass(route.response_model, AnswerModel):
        success = operation["responses"][str(route.status_code or 200)]
        success["content"]["application/json"]["example"] = route.response_model.EXAMPLE
    if route.body_field is not None:
        body = model_of(route.body_field)
        operation["requestBody"]["content"]["application/json"]["example"] = body.EXAMPLE
    queried = {name: value for field in route.dependant.query_params for name, value in model_of(field).EXAMPLE.items()}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and parameter["name"] in queried:
            parameter["example"] = queried[parameter["name"]]


def _add_refusals(responses: dict[str, Any]) -> None:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in sorted(set(responses) | {str(status) for status in ALWAYS}):
        answer = responses.setdefault(status, {})
        answer["description"] = HTTPStatus(int(status)).phrase
        if int(status) >= 400:
            answer["content"] = problem


def event_webhooks() -> APIRouter:
    """One operation for each event. FastAPI describes their bodies; `Application` adds the rest."""
    router = APIRouter()
    for name, model in EVENT_MODELS.items():

        async def receive(event: Any) -> None:
            raise NotImplementedError("a webhook is described here and received by Engage")

        receive.__annotations__["event"] = model
        summary = (model.__doc__ or "").partition("\n")[0]
        router.post(name, name=name, operation_id=f"receive_{name}", summary=summary, tags=["Events"])(receive)
    return router


def docs_routes() -> list[Route]:
    folder = files("fastapi_offline") / "static"

    async def page(request: Request) -> Response:
        return Response(_PAGE, headers=_HEADERS, media_type="text/html")

    async def start(request: Request) -> Response:
        return Response(_START, headers=_HEADERS, media_type="text/javascript")

    async def file(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return FileResponse(str(folder / name), headers=_HEADERS, media_type=_FILES[name])

    names = [Route(f"/docs/{name}", file) for name in _FILES]
    return [Route("/docs", page), Route("/docs/start.js", start), *names]
