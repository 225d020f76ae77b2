"""Runs suites one after the other, and the whole proof in two processes beside each other."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from proof import evidence
from proof.evidence import Evidence
from proof.findings import Size
from proof.suites import AT_THE_END, BUSY, WAITING, suite
from tests.loopback import FIRST_PORT, LAST_PORT, PORTS

_MIDDLE = (FIRST_PORT + LAST_PORT) // 2


@dataclass(frozen=True, slots=True)
class Order:
    """How to run a suite, and whether its evidence is written to evidence/."""

    size: Size
    seed: int
    keeps: bool


def all_suites(
    order: Order,
    busy: Sequence[str] = BUSY,
    waiting: Sequence[str] = WAITING,
    at_the_end: Sequence[str] = AT_THE_END,
) -> list[Evidence]:
    """Run the waiting suites in a process of their own beside the busy ones, and the others after both."""
    context = multiprocessing.get_context("spawn")
    ports = (f"{_MIDDLE + 1}-{LAST_PORT}",)
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin_process, initargs=ports) as other:
        try:
            beside = other.submit(in_turn, waiting, order)
            os.environ[PORTS] = f"{FIRST_PORT}-{_MIDDLE}"
            proved = in_turn(busy, order)
            return [*proved, *beside.result(), *in_turn(at_the_end, order)]
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def in_turn(names: Sequence[str], order: Order) -> list[Evidence]:
    """Run the suites one after the other."""
    return [_prove(name, order) for name in names]


def end_orderly() -> None:
    """Take a SIGTERM as an exception, so that everything the suites have started is ended on the way out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _begin_process(ports: str) -> None:
    os.environ[PORTS] = ports
    end_orderly()


def _prove(name: str, order: Order) -> Evidence:
    """One suite; that it failed itself is evidence too, and the others still run."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"[{name} {time.monotonic() - began:6.1f} s] {line}\n")
        sys.stdout.flush()

    say(f"begins: size {order.size}, seed {order.seed}")
    try:
        found = suite(name)(order.size, order.seed, say)
    except Exception as error:  # noqa: BLE001 - the loop's shell: one broken suite must not hide what the others find
        traceback.print_exc()
        done = evidence.from_failure(name, order.size, order.seed, time.monotonic() - began, error)
    else:
        done = evidence.from_findings(found, order.size, time.monotonic() - began)
        counts = ", ".join(f"{key} {value}" for key, value in found.counts.items())
        say(f"{'holds' if done.holds else 'BROKEN'}: {counts}")
    if order.keeps:
        done.write()
    return done
