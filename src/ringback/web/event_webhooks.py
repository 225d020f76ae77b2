"""The section `webhooks` of the OpenAPI document: the events that Ringback sends to Engage."""

from typing import Any

from fastapi import APIRouter

from ringback.web.event_models import EVENT_MODELS
from ringback.web.event_reference import read_examples

_MEDIA_TYPE = "application/cloudevents+json"
_HEADERS = {
    "webhook-id": "The id of the event. A repeat has the same.",
    "webhook-timestamp": "When it was sent, in seconds since 1970. A repeat has a new one.",
    "webhook-signature": "`v1,` and the signature over id, time and body (Standard Webhooks 1.0).",
}
_ANSWERS = {
    "2XX": "The event is stored. It is not sent again.",
    "408": "Send it again later, as for 425 and 429.",
    "4XX": "Refused. It is sent five times in all, then it is a dead letter.",
    "5XX": "Send it again later.",
}


def event_webhooks() -> APIRouter:
    """One operation for each event. FastAPI describes their bodies; `describe` adds the rest."""
    router = APIRouter()
    for name, model in EVENT_MODELS.items():

        async def receive(event: Any) -> None:
            raise NotImplementedError("a webhook is described here and received by Engage")

        receive.__annotations__["event"] = model
        summary = (model.__doc__ or "").partition("\n")[0]
        router.post(name, name=name, operation_id=f"receive_{name}", summary=summary, tags=["Events"])(receive)
    return router


def describe(webhooks: dict[str, Any]) -> None:
    """Add headers, examples and answers. No key of Ringback's is asked for: the signature is the proof."""
    examples = {event["type"]: event for events in read_examples().values() for event in events}
    custom = examples["lead_qualified"]
    for name, methods in webhooks.items():
        operation = methods["post"]
        schema = operation["requestBody"]["content"].pop("application/json")
        schema["example"] = examples.get(name, custom)
        operation["requestBody"]["content"][_MEDIA_TYPE] = schema
        operation["parameters"] = [
            {"in": "header", "name": header, "required": True, "description": means, "schema": {"type": "string"}}
            for header, means in _HEADERS.items()
        ]
        operation["responses"] = {status: {"description": means} for status, means in _ANSWERS.items()}
        operation["security"] = []
