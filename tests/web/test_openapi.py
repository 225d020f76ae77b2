"""/openapi.json tells what every operation takes and answers, refusals included."""

import json
import re
from datetime import UTC, datetime

import pytest
from fastapi import APIRouter, Depends
from starlette.requests import Request

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.flows.analytics import Analytics
from ringback.flows.exports import Exports
from ringback.services.internal_api import internal_routes
from ringback.telemetry import make_metrics
from ringback.web import analytics_models, request_models, response_models
from ringback.web.app import create_application
from ringback.web.event_models import EVENT_MODELS, event_schema
from ringback.web.request_models import RequestModel, read_action, read_new_call
from ringback.web.response_models import AnswerModel
from ringback.web.routes.actions import BusinessApi, action_routes
from ringback.web.routes.analytics import analytics_routes
from ringback.web.routes.calls import VoiceApi
from ringback.web.routes.exports import export_routes
from ringback.web.routes.operator import OperatorRoutes, operator_routes
from tests.event_schemas import checked_event


async def no_key(request: Request) -> None:
    return None


def models_of(module, base):
    return [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, base)]


@pytest.fixture(scope="module")
def described():
    """Nothing behind the routes is asked."""
    routers = [
        internal_routes(VoiceApi(*[None] * 8), no_key),
        operator_routes(OperatorRoutes(*[None] * 7), no_key),
        action_routes(BusinessApi(None, None), no_key),
        analytics_routes(Analytics(None, None, None, None), PhoneNumbersPlan(), no_key),
        export_routes(Exports(None, None, None), PhoneNumbersPlan(), no_key),
    ]
    return create_application("test", routers, [], make_metrics()).openapi()


def operations_of(described):
    return [operation for methods in described["paths"].values() for operation in methods.values()]


@pytest.fixture(scope="module")
def operations(described):
    return {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def test_every_operation_names_its_refusals_and_each_is_a_problem(operations):
    for operation in operations.values():
        refusals = {int(status): answer for status, answer in operation["responses"].items() if int(status) >= 400}
        assert {401, 403, 413, 422, 500, 503} <= set(refusals)
        for answer in refusals.values():
            assert list(answer["content"]) == ["application/problem+json"]


def test_every_success_has_a_shape(operations):
    for name, operation in operations.items():
        successes = {status: answer for status, answer in operation["responses"].items() if int(status) < 400}
        # A person who is suppressed already is no error, and nothing new.
        assert len(successes) == (2 if name == "POST /v1/suppressions" else 1), name
        for success in successes.values():
            if name.startswith("DELETE"):
                assert "content" not in success
            elif name == "GET /v1/exports/{export}":
                assert list(success["content"]) == ["text/csv", "application/jsonl"]
            else:
                assert "$ref" in success["content"]["application/json"]["schema"]


def test_operations_are_named_by_what_they_do(operations):
    assert {name: operation["operationId"] for name, operation in operations.items()} == {
        "POST /v1/calls": "place_call",
        "GET /v1/calls": "list_calls",
        "GET /v1/calls/{call_id}": "get_call",
        "GET /v1/calls/{call_id}/timeline": "get_call_timeline",
        "POST /v1/calls/{call_id}/cancel": "cancel_call",
        "POST /v1/suppressions": "create_suppression",
        "GET /v1/suppressions": "list_suppressions",
        "DELETE /v1/suppressions/{suppression_id}": "lift_suppression",
        "POST /v1/dialing/pause": "pause_dialing",
        "POST /v1/dialing/resume": "resume_dialing",
        "GET /v1/settings": "list_settings",
        "GET /v1/audit": "list_audit_rows",
        "GET /v1/why": "explain_contact",
        "GET /v1/events": "list_events",
        "POST /v1/actions/{action}": "perform_action",
        "GET /v1/analytics/summary": "get_summary",
        "GET /v1/analytics/series": "get_series",
        "GET /v1/analytics/breakdown": "get_breakdown",
        "GET /v1/analytics/rows": "list_rows",
        "GET /v1/exports/{export}": "export_rows",
    }


def test_every_operation_has_an_example_of_its_request_and_of_its_success(operations):
    for name, operation in operations.items():
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["example"], name
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert parameter["schema"]["examples"], name
        if name.startswith("GET") and "{" not in name:
            parameters = operation.get("parameters", [])
            assert not parameters or any("example" in parameter for parameter in parameters), name
        success = next(
            operation["responses"][status]
            for status in ("201", "202", "200", "204")
            if status in operation["responses"]
        )
        if not name.startswith("DELETE") and "/exports/" not in name:
            assert success["content"]["application/json"]["example"], name


def test_the_examples_of_requests_are_accepted():
    numbers = PhoneNumbersPlan()
    models = [model for model in models_of(request_models, RequestModel) if model.EXAMPLE]
    assert len(models) == 10
    models += [model for model in models_of(analytics_models, RequestModel) if model.EXAMPLE]
    assert len(models) == 15
    for model in models:
        assert model.read(model.EXAMPLE, numbers)
    assert read_new_call(request_models.CallRequest.EXAMPLE, datetime.now(UTC), numbers).contact_id == "crm-42"
    assert read_action(request_models.ActionRequest.EXAMPLE, None, needs_target=True)[0].args


def test_the_examples_of_answers_have_every_field_of_their_models():
    models = [model for model in models_of(response_models, AnswerModel) if model is not AnswerModel]
    assert len(models) == 14
    models += [
        model for model in models_of(analytics_models, AnswerModel) if model.__module__.endswith("analytics_models")
    ]
    models = [model for model in models if not model.__name__.startswith("_")]
    assert len(models) == 18
    for model in models:
        assert model.EXAMPLE.keys() == {field.alias or name for name, field in model.model_fields.items()}
        assert model.model_validate(model.EXAMPLE)


@pytest.mark.parametrize(
    ("operation", "refusals"),
    [
        ("POST /v1/calls", {"409"}),
        ("GET /v1/calls/{call_id}", {"404"}),
        ("POST /v1/calls/{call_id}/cancel", {"404"}),
        ("DELETE /v1/suppressions/{suppression_id}", {"404"}),
        ("GET /v1/why", {"404"}),
        ("POST /v1/actions/{action}", {"404", "409"}),
    ],
)
def test_what_is_not_found_or_conflicts_is_told_where_it_can_be(operations, operation, refusals):
    assert refusals <= set(operations[operation]["responses"])


def test_queries_are_described_parameter_by_parameter(operations):
    named = {name: {each["name"] for each in one.get("parameters", [])} for name, one in operations.items()}
    assert named["GET /v1/calls"] == {
        *(
            "cursor",
            "limit",
            "contact_id",
            "phone",
            "status",
            "reason",
            "agent_id",
            "from_number",
            "since",
            "until",
            "stuck",
        )
    }
    assert named["GET /v1/suppressions"] == {"cursor", "limit", "phone", "contact_id"}
    assert named["GET /v1/events"] == {"after", "limit"}
    assert named["GET /v1/why"] == {"phone", "contact_id"}
    assert named["POST /v1/calls"] == {"Idempotency-Key"}


def test_a_key_is_asked_for_in_either_of_two_headers(described):
    assert described["security"] == [{"bearer": []}, {"apiKey": []}]
    assert {scheme["type"] for scheme in described["components"]["securitySchemes"].values()} == {"http", "apiKey"}


def test_a_route_that_describes_nothing_still_tells_its_refusals():
    router = APIRouter(dependencies=[Depends(no_key)])

    @router.get("/plain")
    async def plain() -> None:
        return None

    described = create_application("test", [router], [], make_metrics()).openapi()
    assert set(described["paths"]["/plain"]["get"]["responses"]) == {"200", "401", "403", "413", "422", "500", "503"}


def test_the_events_that_ringback_sends_are_webhooks_with_the_schemas_of_the_package(described):
    assert set(described["webhooks"]) == set(EVENT_MODELS)
    for name, methods in described["webhooks"].items():
        operation = methods["post"]
        assert operation["security"] == []
        assert [one["name"] for one in operation["parameters"]] == [
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        ]
        assert set(operation["responses"]) == {"2XX", "408", "4XX", "5XX"}
        (content,) = operation["requestBody"]["content"].items()
        assert content[0] == "application/cloudevents+json"
        component = content[1]["schema"]["$ref"].rpartition("/")[2]
        assert component == EVENT_MODELS[name].__name__
        own = event_schema(name)
        assert described["components"]["schemas"][component]["required"] == own["required"]
        assert checked_event(content[1]["example"])


def test_every_reference_of_the_description_leads_to_a_component(described):
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert names <= set(described["components"]["schemas"])


def test_a_process_without_an_api_describes_no_webhooks():
    assert "webhooks" not in create_application("test", [], [], make_metrics()).openapi()


def test_components_are_named_as_a_client_would_name_its_classes(described):
    """A generated client has these names. A change of one breaks the clients."""
    named = {"CallRequest", "Contact", "RetryPolicy", "AcceptedCall", "Call", "Attempt", "Task", "CallsPage", "Problem"}
    assert named <= set(described["components"]["schemas"])
    assert not [
        name for name in described["components"]["schemas"] if re.search("Body|Answer|Model|Input|Output", name)
    ]


def test_every_member_has_a_description_and_every_optional_one_of_a_request_its_default(described):
    components = described["components"]["schemas"]
    members = {
        f"{name}.{member}": (declared, member in component.get("required", []))
        for name, component in components.items()
        for member, declared in component.get("properties", {}).items()
    }
    assert len(members) > 100
    fixed = {"specversion", "source", "type", "datacontenttype", "data"}  # of the envelope, CloudEvents describes them
    # A member that only refers to an object has the description of that.
    told = {
        name: one | components.get(one.get("$ref", "").rpartition("/")[2], {}) for name, (one, _) in members.items()
    }
    silent = [name for name, one in told.items() if "description" not in one]
    assert [name for name in silent if name.split(".")[1] not in fixed] == []
    requests = {model.__name__ for model in models_of(request_models, RequestModel)} & set(components)
    assert {"CallRequest", "Contact", "RetryPolicy", "ActionRequest"} <= requests
    optional = {name: one for name, (one, is_required) in members.items() if not is_required}
    # FastAPI leaves out a default of null.
    told = {name: one for name, one in optional.items() if {"type": "null"} not in one.get("anyOf", [])}
    assert [name for name, one in told.items() if name.split(".")[0] in requests and "default" not in one] == []
    queried = [
        one for operation in operations_of(described) for one in operation.get("parameters", []) if one["in"] == "query"
    ]
    assert queried
    assert all("description" in one for one in queried)
