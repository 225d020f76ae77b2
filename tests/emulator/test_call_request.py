"""Requests for a call: invalid ones are rejected and ring no phone."""

import pytest

from tests.emulator.conftest import CREATE_BODY


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"to_number": "2125550100"}, 400, "E.164"),
        ({"to_number": "+0125550100"}, 400, "E.164"),
        ({"from_number": "anonymous"}, 400, "E.164"),
        ({"to_number": None}, 400, "`to_number` must be string"),
        ({"retell_llm_dynamic_variables": {"age": 7}}, 400, "`age` must be string"),
        ({"retell_llm_dynamic_variables": ["x"]}, 400, "must be object"),
        ({"metadata": {"x": "y" * 50_001}}, 400, "50kB"),
        ({"metadata": "text"}, 400, "must be object"),
        ({"agent_override": {"agent": {"webhook_url": 7}}}, 400, "must be string"),
        ({"override_agent_id": "agent_unknown"}, 422, "Cannot find"),
        ({"override_agent_id": "bot_1"}, 422, "Cannot find"),
    ],
)
async def test_a_bad_request_is_rejected_and_does_not_ring(emulator, change, status, message):
    answer = await emulator.post(CREATE_BODY | change)
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert message in answer.json()["message"]
    assert await emulator.rings() == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"metadata": {"x": "\\ud800"}}', b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_400(emulator, raw):
    assert (await emulator.http.post("/v2/create-phone-call", content=raw)).status_code == 400


async def test_an_unknown_field_is_ignored(emulator):
    assert (await emulator.post(CREATE_BODY | {"colour": "blue"})).status_code == 201
