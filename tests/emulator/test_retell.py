"""The emulated Retell's own routes."""


async def test_health_names_the_emulator_and_its_state_directory(emulator, settings):
    health = (await emulator.http.get("/healthz", headers={"authorization": ""})).json()
    assert health == {"status": "ok", "emulator": "retell", "state_dir": str(settings.state_dir.resolve())}


async def test_a_fault_that_cannot_be_read_is_rejected(emulator):
    for wanted in ({"list_calls": "maybe"}, {"create": [{"colour": 1}]}, {"account": "x"}):
        assert (await emulator.http.post("/emulator/retell/faults", json=wanted)).status_code == 400
