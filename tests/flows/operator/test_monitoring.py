"""The gauges of a process, with its database present, lost and back."""

from datetime import timedelta

from prometheus_client import generate_latest
from structlog.testing import capture_logs

from ringback.adapters.postgres import monitoring as statements
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.monitoring import PostgresMonitoring
from ringback.adapters.postgres.pool import connection_of
from ringback.flows.operator import monitoring as subject
from ringback.flows.operator.monitoring import Monitoring, database_dependency, queue_dependency
from ringback.loops import Availability
from ringback.ports import OutgoingMessage
from ringback.telemetry import make_metrics

WAITING = """
INSERT INTO outbox (kind, message_id, payload, created_at, due_at)
VALUES ('abt_event', 'e-1', '{}', now() - interval '90 seconds', now()), ('crm_note', 'n-1', '{}', now(), now())
"""


def monitoring_of(pool, metrics) -> Monitoring:
    queue = PostgresQueue(pool, "calls")
    dependencies = {
        "database": database_dependency(PostgresMonitoring(pool), 20),
        "call_queue": queue_dependency("call_queue", queue),
    }
    return Monitoring(dependencies, metrics.gauges, Availability())


def gauges_of(metrics) -> dict[str, float]:
    lines = [line for line in generate_latest(metrics.registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def execute(pool, *statements: str) -> None:
    async with connection_of(pool) as connection:
        for statement in statements:
            await connection.execute(statement)


async def test_gauges_show_the_backlog_the_ages_the_pause_the_breaker_and_the_slots(pool):
    metrics = make_metrics()
    await execute(
        pool, WAITING, "UPDATE installation SET paused_at = now(), breaker_until = now() + interval '1 minute'"
    )
    await PostgresQueue(pool, "calls").send([OutgoingMessage("one"), OutgoingMessage("two")])
    await monitoring_of(pool, metrics).read_gauges()
    gauges = gauges_of(metrics)
    assert gauges['ringback_up{dependency="database"}'] == 1
    assert gauges['ringback_outbox_waiting_rows{channel="engage"}'] == 2
    assert gauges['ringback_outbox_waiting_rows{channel="queue"}'] == 0
    assert gauges['ringback_outbox_oldest_age_seconds{channel="engage"}'] >= 90
    assert gauges['ringback_queue_waiting_messages{queue="call_queue"}'] == 2
    assert 0 < gauges['ringback_queue_oldest_age_seconds{queue="call_queue"}'] < 60
    assert (gauges["ringback_dialing_paused"], gauges["ringback_breaker_open"]) == (1, 1)
    assert (gauges["ringback_live_calls"], gauges["ringback_free_slots"]) == (0, 20)


async def test_gauges_show_due_calls_and_unknown_attempts_with_their_ages(stack, pool):
    for number, age_s in enumerate((400, 100)):
        call_id = await stack.accept(f"crm-{number}", f"+1415555010{number}")
        await stack.deliver_first(call_id)
        unknown = "UPDATE attempts SET state = 'unknown', next_check_at = now(), unknown_since = now() - $2::interval"
        await pool.execute(f"{unknown} WHERE call_id = $1", call_id, timedelta(seconds=age_s))
    for number, (status, column) in enumerate({"pending": "due_at", "dispatched": "dispatched_at"}.items(), 4):
        call_id = await stack.accept(f"crm-{number}", f"+1415555010{number}")
        late = f"UPDATE tasks SET status = $2, {column} = now() - interval '{number}00 seconds' WHERE call_id = $1"
        await pool.execute(late, call_id, status)
    metrics = make_metrics()
    await monitoring_of(pool, metrics).read_gauges()
    gauges = gauges_of(metrics)
    assert gauges["ringback_unknown_attempts"] == 2
    assert 400 <= gauges["ringback_unknown_attempts_oldest_age_seconds"] < 460
    assert 400 <= gauges['ringback_due_calls_oldest_age_seconds{task="pending"}'] < 460
    assert 500 <= gauges['ringback_due_calls_oldest_age_seconds{task="dispatched"}'] < 560
    assert "ringback_rollup_delta_age_seconds" not in gauges  # only a scheduler knows it


async def test_the_ages_of_calls_and_attempts_are_read_from_indexes_of_open_rows(pool):
    async with connection_of(pool) as connection:
        transaction = connection.transaction()
        await transaction.start()
        # Without the indexes' sizes that earlier tests have left.
        await connection.execute("TRUNCATE calls, tasks, attempts CASCADE; SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statements._DIALING}"))
        await transaction.rollback()
    for index in ("tasks_due", "tasks_dispatched", "attempts_check"):
        assert f"using {index}" in plan or f"on {index}" in plan, plan


async def test_gauges_show_no_age_where_nothing_waits(pool):
    metrics = make_metrics()
    await monitoring_of(pool, metrics).read_gauges()
    gauges = gauges_of(metrics)
    ages = [value for name, value in gauges.items() if "_age_seconds" in name]
    assert (len(ages), set(ages), gauges["ringback_unknown_attempts"]) == (7, {0.0}, 0)


async def test_a_scrape_without_the_database_says_so_and_has_no_old_values(pool, monkeypatch):
    monkeypatch.setattr(subject, "CACHE_S", 0)
    metrics = make_metrics()
    monitoring = monitoring_of(pool, metrics)
    await monitoring.read_gauges()
    await execute(pool, "ALTER TABLE installation RENAME TO hidden")
    with capture_logs() as lines:
        await monitoring.read_gauges()
        await monitoring.read_gauges()
        lost = gauges_of(metrics)
        await execute(pool, "ALTER TABLE hidden RENAME TO installation")
        await monitoring.read_gauges()
        await monitoring.read_gauges()
    assert lost['ringback_up{dependency="database"}'] == 0
    assert lost['ringback_up{dependency="call_queue"}'] == 1
    assert "ringback_live_calls" not in lost
    assert gauges_of(metrics)["ringback_live_calls"] == 0
    told = [(line["event"], line["dependency"]) for line in lines]
    assert told == [("dependency.unavailable", "database"), ("dependency.recovered", "database")]


async def test_a_second_scrape_within_the_cache_reads_nothing(pool):
    metrics = make_metrics()
    monitoring = monitoring_of(pool, metrics)
    await monitoring.read_gauges()
    await execute(pool, WAITING)
    await monitoring.read_gauges()
    assert gauges_of(metrics)['ringback_outbox_waiting_rows{channel="engage"}'] == 0


def test_no_counter_or_histogram_has_a_series_of_its_birth():
    metrics = make_metrics()
    metrics.http_requests.labels("GET", "/v1/calls", 200).inc()
    metrics.http_duration_s.labels("/v1/calls").observe(0.1)
    assert "_created" not in generate_latest(metrics.registry).decode()


async def test_the_backlog_is_read_from_an_index_of_waiting_rows(pool):
    delivered = """
    INSERT INTO outbox (kind, message_id, payload, created_at, due_at, delivered_at)
    SELECT 'abt_event', 'd-' || number, '{}', now(), now(), now() FROM generate_series(1, 2000) AS number
    """
    async with connection_of(pool) as connection, connection.transaction():
        await connection.execute(delivered)
        await connection.execute(statements._BY_INDEX)
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statements._BACKLOG}"))
    assert "Index Scan using outbox_ready" in plan or "Index Scan using outbox_order" in plan, plan
