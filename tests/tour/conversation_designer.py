"""The tasks of a conversation designer: the agent's functions, what it hears, what becomes of it."""

import json
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from retell.types.llm_create_params import GeneralToolCustomTool

from tests.stories.running_system import new_call, wait_until

from .tour import Task, Tour

TRY = ("retell", "try")


def paste_the_functions_into_an_agent(tour: Tour) -> None:
    """Print the functions for an agent at Retell."""
    ran = tour.run("retell", "tools", "--url", "https://voice.example.com")
    tools: list[dict[str, Any]] = ran.body
    known = GeneralToolCustomTool.__annotations__.keys()
    accepted = TypeAdapter(list[GeneralToolCustomTool]).validate_python(tools)
    unknown = {name for tool in tools for name in tool if name not in known}
    tour.says("Retell's SDK has every member of them.", is_true=len(accepted) == 7 and not unknown, found=unknown)
    served = {}
    for tool in tools:
        path = urlsplit(tool["url"]).path
        tried = tour.run(*TRY, tool["name"], "--json")
        served[path] = path == f"/v1/retell/functions/{tool['name']}" and {"ok", "say"} <= tried.body.keys()
    tour.says(
        "The running system serves every function.", is_true=len(served) == 7 and all(served.values()), found=served
    )
    catalog = tour.run("catalog", "--json", has_data_dir=False).body
    [disposition] = [tool for tool in tools if tool["name"] == "set_disposition"]
    codes = disposition["parameters"]["properties"]["code"]["enum"]
    tour.says("The codes are those of the catalogue.", is_true=codes == list(catalog["dispositions"]), found=codes)


def hear_what_the_agent_hears(tour: Tour) -> None:
    """Try a callback in the words of a person, clear and unclear ones."""
    before = tour.client.get("/v1/calls?limit=200")["items"]
    clear = tour.run(*TRY, "reschedule_call", "--args", '{"when": "tomorrow at 3pm"}', "--json")
    said = (clear.code, clear.body["ok"], clear.body["result"]["local_time"][11:])
    tour.says("The clear words are understood as 15:00.", is_true=said == (0, True, "15:00"), found=clear.body)
    unclear = tour.run(*TRY, "reschedule_call", "--args", '{"when": "soon"}')
    asks = [line for line in unclear.lines if line.startswith("The agent would hear: ")]
    is_question = unclear.code == 1 and len(asks) == 1 and asks[0].endswith("?")
    tour.says("The unclear words are answered with a question.", is_true=is_question, found=unclear)
    after = tour.client.get("/v1/calls?limit=200")["items"]
    ids = [[call["call_id"] for call in calls] for calls in (before, after)]
    tour.says(
        "Nothing was written, as the command says.",
        is_true=ids[0] == ids[1] and "Nothing was written" in unclear.stdout,
    )


def let_a_person_ask_for_a_callback(tour: Tour) -> None:
    """Call a person who asks to be called tomorrow at 3pm."""
    call_id = tour.client.place(new_call("+13105550107"))
    call = tour.client.wait_for(call_id, lambda call: call["status"] == "scheduled" and call["attempts"] != [])
    ran = tour.run("trace", call_id)
    [task] = [task for task in call["tasks"] if task["status"] == "pending"]
    tour.says("The callback is planned for 15:00 in Los Angeles.", found=task,
              is_true=task["local_time"].endswith("T15:00") and task["time_zone"] == "America/Los_Angeles")  # fmt: skip
    due = task["due_at"].replace("T", " ").removesuffix("Z")
    rows = [line for line in ran.lines if "task_kind=callback" in line]
    tour.says(
        "The trace has it, at the same instant.", is_true=len(rows) == 1 and f"due_at={due}" in rows[0], found=rows
    )
    tour.client.wait_delivered(call_id)
    types = [one["type"] for one in tour.client.deliveries_of(call_id)]
    tour.says("Engage got a rescheduled event.", is_true=types[-1] == "voice_ai_call_rescheduled", found=types)


def file_a_note_of_a_call(tour: Tour) -> None:
    """File a note of a real call, twice, as a model does that repeats itself."""
    call_id = tour.client.place(new_call("+13105550116"))
    call = tour.client.wait_for(call_id, lambda call: call["status"] == "in_progress")
    args = json.dumps({"note": "Wants the blue one."})
    provider_call_id = call["attempts"][0]["provider_call_id"]
    for _ in range(2):
        ran = tour.run(*TRY, "note_writeback", "--args", args, "--call-id", provider_call_id)
        tour.says("The function is answered ok.", is_true=ran.code == 0 and "Nothing was written" not in ran.stdout)
    writes = wait_until(lambda: _notes(tour, call["contact_id"]), 20, "the note at the CRM")
    found = {(write["body"]["note"], write["signature_ok"]) for write in writes}
    tour.says("The CRM has the note, signed.", is_true=found == {("Wants the blue one.", True)}, found=writes)
    keys = {write["idempotency_key"] for write in writes}
    tour.says("Both functions wrote it once.", is_true=len(keys) == 1, found=keys)


def _notes(tour: Tour, contact_id: str) -> list[dict[str, Any]]:
    from tests.stories.running_system import ask

    items = ask("GET", f"{tour.client.engage_url}/emulator/engage/writes").body["items"]
    return [item for item in items if (item["kind"], item["contact_id"]) == ("notes", contact_id)]


TASKS = (
    Task(paste_the_functions_into_an_agent, is_long=True),
    Task(hear_what_the_agent_hears),
    Task(let_a_person_ask_for_a_callback),
    Task(file_a_note_of_a_call, is_long=True),
)
