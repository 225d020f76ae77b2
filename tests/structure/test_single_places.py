"""Things that may stand in few places only, each listed here with its reason."""

import ast
import re
from collections import Counter

from ringback.failpoints import Failpoint

from .tree import EMULATOR, PRODUCT, python_files, shown

SOURCES = {
    shown(path).removeprefix("src/").removeprefix("ringback/"): path.read_text()
    for path in python_files(PRODUCT, EMULATOR)
}

#: The guard of all loops, the consumer's decision about a message, Retell's inbound route, the batch whose callers
#: each get their own error, and the check of readiness: once in each.
CATCHES_EVERYTHING = {
    "loops.py",
    "consumer.py",
    "web/routes/retell.py",
    "batching.py",
    "adapters/postgres/groups.py",  # a unit's error in a group, raised to the unit
    "web/health.py",
    "flows/operator/monitoring.py",  # a scrape succeeds, and says that the dependency does not work
    "flows/call_initiation.py",  # a group of requests, each with a caller of its own
}

#: Every place that starts a task, and why an error in it does not end the process: most are loops in the shell of
#: `loops.py`, or wait for tasks that are.
STARTS_TASKS = {
    "adapters/postgres/wake.py": "the listener, in the shell",
    "adapters/postgres/groups.py": "a group's error is raised to its units",
    "consumer.py": "its tasks run in the shell, or decide a message's outcome",
    "flows/exports.py": "the error of a page is raised to its reader",
    "flows/outbox_delivery.py": "lanes in the shell; a parcel's error is the outcome of its rows",
    "batching.py": "hands errors to the callers",
    "services/scheduler.py": "jobs in the shell",
    "up/demo.py": "a demonstration ends with its system",
    "up/played_week/command.py": "a played week ends with the server of its emulator or of its APIs",
    "up/stack.py": "the watch in the shell; the system itself, until a signal",
    "web/server.py": "the server, until stop",
    "process.py": "the loops of all services in the shell; the server, whose end is the process's",
}

READS_ENVIRONMENT = {
    "config.py": "the one reader",
    "services/webhook_lambda.py": "carries no config",
    "up/emulators.py": "hands its own on to its children, and looks at nothing in it",
}


def places(pattern: str) -> Counter[str]:
    found = {name: len(re.findall(pattern, text, re.MULTILINE)) for name, text in SOURCES.items()}
    return Counter({name: count for name, count in found.items() if count})


def catches_of_everything(source: str) -> int:
    """Handlers of Exception, BaseException or nothing in particular; one that raises again at its end only tidies."""
    handlers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ExceptHandler)]
    wide = [one for one in handlers if one.type is None or ast.unparse(one.type) in ("Exception", "BaseException")]
    return sum(not (isinstance(one.body[-1], ast.Raise) and one.body[-1].exc is None) for one in wide)


def test_every_exception_is_caught_only_in_guards_and_at_the_inbound_route():
    found = {name: count for name, source in SOURCES.items() if (count := catches_of_everything(source))}
    assert found.keys() <= CATCHES_EVERYTHING
    assert set(found.values()) == {1}


def test_a_catch_that_raises_again_is_none():
    source = "try:\n    f()\nexcept BaseException:\n    g()\n    raise\n"
    assert catches_of_everything(source) == 0
    assert catches_of_everything(source.replace("    raise\n", "")) == 1


def test_every_task_is_started_where_its_errors_are_met():
    found = places(r"create_task\(|ensure_future\(|TaskGroup\(|run_coroutine_threadsafe\(").keys()
    assert {name for name in found if not name.startswith("ringback_emulator/")} == STARTS_TASKS.keys()


def test_the_environment_is_read_in_one_file():
    assert places(r"\bos\.(environ|getenv)").keys() <= READS_ENVIRONMENT.keys()


#: Not measured in the product's time, or before there is a clock to be handed.
OWN_TIME = ("cli", "embedded/", "ringback_emulator/", "up/")


def test_the_time_is_told_by_the_clock():
    told = places(r"\bdatetime\.(now|utcnow|today)\(|\btime\.time(_ns)?\(").keys()
    # The Lambda and its twin have no clock to be handed. Spans begin and end by the machine's clock.
    allowed = {"adapters/clock.py", "services/webhook_lambda.py", "services/webhook_receiver.py", "tracing.py"}
    assert {name for name in told if not name.startswith(OWN_TIME)} <= allowed


def test_the_product_knows_no_process_wide_switch():
    """But the crash points and the traces: a process dies as a whole, and exports its spans as it writes its log."""
    assert places(r"^\s+(global)\s").keys() == {"failpoints.py", "tracing.py"}


def test_each_failpoint_stands_in_the_code_once():
    standing = Counter(name for text in SOURCES.values() for name in re.findall(r"reach\(Failpoint\.(\w+)\)", text))
    assert standing == Counter(Failpoint.__members__.keys())
