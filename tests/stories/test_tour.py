"""The tour of the users' tasks finds every statement true. `make tour` takes all tasks, this test the short ones."""

import io

import pytest

from tests.tour.__main__ import TASKS
from tests.tour.tour import Task, Tour, report, walk_all

from .running_system import RunningSystem


@pytest.mark.matrix
def test_every_statement_of_the_short_tasks_is_true(make_system) -> None:
    running = make_system()
    running.start()
    tour = Tour(running, io.StringIO())
    walk_all(tour, TASKS, is_small=True)
    assert running.stop() == 0
    assert report(tour, {}, {}), tour.out.getvalue()
    assert tour.statements > 40
    assert len(tour.piped_lines) > 40


def test_every_user_has_short_tasks_and_each_task_a_title() -> None:
    assert len(TASKS) == 4
    for tasks in TASKS.values():
        assert any(not task.is_long for task in tasks)
        assert all(task.title.endswith(".") for task in tasks)


def a_lie(tour: Tour) -> None:
    """State what is false."""
    tour.says("Water is dry.", is_true=False, found="wet")


def a_failure(tour: Tour) -> None:
    """Fail in the middle."""
    raise OSError("no such thing")


def a_truth(tour: Tour) -> None:
    """State what is true."""
    tour.says("Water is wet.", is_true=True)


def test_a_false_statement_a_failed_task_and_a_cut_line_are_in_the_result(tmp_path) -> None:
    tour = Tour(RunningSystem(tmp_path), io.StringIO())
    walk_all(tour, {"A user": (Task(a_lie), Task(a_failure), Task(a_truth))}, is_small=True)
    tour.piped_lines += ["whole", "    the rest of it", "        a detail of the line above", "cut…"]
    assert not report(tour, {"a command": [0.1, 0.3, 0.2]}, {"right": 2, "tried": 3})
    assert tour.false == [
        "Water is dry.",
        "The task can be done: Fail in the middle.",
        "Every line in a pipe is whole.",
    ]
    printed = tour.out.getvalue()
    assert "FALSE  Water is dry.\n         found: wet\n" in printed
    assert "true   Water is wet." in printed
    assert "OSError('no such thing')" in printed
    assert "a command: 0.20 s, the median of 0.10, 0.30, 0.20" in printed
    assert "2 of 3 wrong set-ups" in printed
    assert "2 of 4 lines in a pipe are whole" in printed
    assert "1 of 4 statements are true." in printed
