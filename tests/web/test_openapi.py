"""/openapi.json tells what every operation takes and answers, refusals included."""

import pytest
from fastapi import APIRouter, Depends
from starlette.requests import Request

from ringback.services.business_api import BusinessApi, action_routes
from ringback.services.internal_api import VoiceApi, internal_routes
from ringback.telemetry import make_metrics
from ringback.web.application import create_application
from ringback.web.steering import Steering, steering_routes


async def no_key(request: Request) -> None:
    return None


@pytest.fixture(scope="module")
def described():
    """Nothing behind the routes is asked."""
    routers = [
        internal_routes(VoiceApi(*[None] * 8), no_key),
        steering_routes(Steering(*[None] * 5), no_key),
        action_routes(BusinessApi(None, None), no_key),
    ]
    return create_application("test", routers, [], make_metrics()).openapi()


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
        (success,) = [answer for status, answer in operation["responses"].items() if int(status) < 400]
        if name.startswith("DELETE"):
            assert "content" not in success
        else:
            assert "$ref" in success["content"]["application/json"]["schema"]


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


def test_queries_that_are_read_by_hand_are_described(operations):
    named = {name: {each["name"] for each in one.get("parameters", [])} for name, one in operations.items()}
    assert named["GET /v1/calls"] == {"cursor", "limit", "contact_id", "status"}
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
