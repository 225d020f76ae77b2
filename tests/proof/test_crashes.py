"""The crash suite at its small size: every failpoint is reached, a few kills, and a planted bug that is caught."""

from collections import Counter
from pathlib import Path

import pytest

from proof.crashes.__main__ import read_case
from proof.crashes.acts import ACTS
from proof.crashes.campaign import PLANTED, reproduce, run_on
from proof.crashes.cases import Case, Mode, Recording, Route, killing
from proof.crashes.planted import BUGS
from proof.crashes.shared_page import SharedPage
from proof.findings import Size
from proof.invariants import Invariant
from ringback.failpoints import Failpoint

SEED = 20261122


@pytest.mark.matrix
def test_every_point_is_reached_and_nothing_is_lost_doubled_unexpected_or_unresolved(
    server_url: str, template_database: str, tmp_path: Path
) -> None:
    said: list[str] = []
    found = run_on(server_url, tmp_path / "crashes", (Size.SMALL, SEED), said.append, template_database)
    assert found.violations == [], said
    assert found.counts["kills"] >= 7
    assert all(found.counts[kind] == 0 for kind in ("lost", "duplicated", "unexpected", "unresolved"))
    assert found.cases[Invariant.I20] >= 7
    assert found.planted == {PLANTED[-1].bug: True}


def test_every_planted_bug_has_its_case() -> None:
    assert {planted.bug for planted in PLANTED} == set(BUGS)


def test_a_case_can_be_played_again_by_what_a_finding_says() -> None:
    kills = ((Failpoint.CLAIM_COMMITTED, 1), (Failpoint.LEASE_OVER, 2))
    case = Case(17, Mode.FORGETFUL, ("pair", "silent"), kills)
    assert read_case(reproduce(case, kills).split()[3:]) == case
    assert read_case(["claim.committed", "1", "remembers"]).acts == tuple(ACTS)


def test_the_same_seed_gives_the_same_case() -> None:
    recording = Recording()
    recording.note(Route("answered"), Mode.REMEMBERS, Counter({Failpoint.CLAIM_COMMITTED: 3}))
    cases = [killing(recording, Failpoint.CLAIM_COMMITTED, Mode.REMEMBERS, seed) for seed in (1, 1, 2)]
    assert cases[0] == cases[1] != cases[2]
    assert killing(recording, Failpoint.CLAIM_COMMITTED, Mode.FORGETFUL, 1) is None


def test_lives_after_a_death_end_at_wanted_points_that_such_lives_have_hit() -> None:
    recording = Recording()
    recording.note(Route("answered"), Mode.REMEMBERS, Counter({Failpoint.CLAIM_COMMITTED: 3}))
    recording.after_death[Mode.REMEMBERS, "answered"] |= Counter(
        {Failpoint.EVENT_APPLIED: 5, Failpoint.LEASE_OVER: 1, Failpoint.OUTBOX_CARRIED: 1}
    )
    wanted = {Failpoint.EVENT_APPLIED, Failpoint.LEASE_OVER, Failpoint.ENGAGE_ASKING}
    found = set()
    for seed in range(40):
        case = killing(recording, Failpoint.CLAIM_COMMITTED, Mode.REMEMBERS, seed, wanted=wanted)
        assert case is not None
        found.add((len(case.kills), len(case.further)))
        assert all({point for point, _ in life} == wanted - {Failpoint.ENGAGE_ASKING} for life in case.further)
        assert all(
            hit <= (2 if point is Failpoint.EVENT_APPLIED else 1) for life in case.further for point, hit in life
        )
    assert found == {(1, 0), (1, 3)}


def test_a_leap_moves_both_clocks_of_every_process_that_maps_the_page(tmp_path: Path) -> None:
    mine, other = SharedPage(tmp_path / "page"), SharedPage(tmp_path / "page")
    before, before_s = other.now(), other.monotonic()
    mine.leap(3600.0)
    assert (other.now() - before).total_seconds() >= 3600
    assert other.monotonic() - before_s >= 3600
    assert [mine.count(Failpoint.EXPIRED), other.count(Failpoint.EXPIRED)] == [1, 2]
    assert mine.hits() == {Failpoint.EXPIRED: 2}
