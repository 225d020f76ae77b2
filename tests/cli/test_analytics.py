"""ringback analytics and ringback export."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.cli.export import _write

run = CliRunner().invoke
WRONG_CELL = """
INSERT INTO rollup_number (day, from_number, outcome, attempts) VALUES ('2026-12-01', '+14155550199', 'completed', 2)
"""


def test_check_lists_the_cells_that_differ_and_rebuild_corrects_them(database):
    right = run(cli.app, ["analytics", "check"])
    assert (right.exit_code, right.stdout) == (0, "no cell differs\n")
    database(WRONG_CELL)
    wrong = run(cli.app, ["analytics", "check"])
    assert wrong.exit_code == 1
    assert "rollup_number  day=2026-12-01 from_number=+14155550199 outcome=completed  attempts -2" in wrong.stdout
    as_json = json.loads(run(cli.app, ["analytics", "check", "--json"]).stdout)
    assert [(one["table"], one["missing"]) for one in as_json] == [("rollup_number", {"attempts": -2})]
    assert run(cli.app, ["analytics", "rebuild"]).stdout == "counted anew; 1 cell was corrected\n"
    assert run(cli.app, ["analytics", "check"]).stdout == "no cell differs\n"


def test_check_of_days_sees_the_cells_of_these_days_alone(database):
    database(WRONG_CELL)
    of_the_day = run(cli.app, ["analytics", "check", "--from", "2026-12-01", "--to", "2026-12-02"])
    assert (of_the_day.exit_code, "rollup_number  day=2026-12-01" in of_the_day.stdout) == (1, True)
    assert run(cli.app, ["analytics", "check", "--from", "2026-12-01"]).exit_code == 1
    for days in (["--from", "2026-12-02"], ["--to", "2026-12-01"], ["--from", "2026-11-01", "--to", "2026-12-01"]):
        assert run(cli.app, ["analytics", "check", *days]).stdout == "no cell differs\n"


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (["--from", "2026-12-02", "--to", "2026-12-02"], "--to must be after --from"),
        (["--from", "2026-12-03", "--to", "2026-12-02"], "--to must be after --from"),
        (["--to", "yesterday"], "days, for example 2026-12-01"),
        (["--from", "0001-01-01"], "must be from 2000-01-01 to 2200-01-01"),
        (["--to", "9999-12-31"], "must be from 2000-01-01 to 2200-01-01"),
    ],
)
def test_check_refuses_days_that_are_no_range(database, days, why):
    refused = run(cli.app, ["analytics", "check", *days])
    assert (refused.exit_code, why in " ".join(refused.stderr.replace("│", "").split())) == (2, True)


def test_ddl_prints_the_tables_for_two_engines():
    printed = run(cli.app, ["analytics", "ddl", "--location", "s3://calls/"]).stdout
    assert "LOCATION 's3://calls/attempts/'" in printed
    assert "S3('s3://calls/attempts/day=*/*.parquet', 'Parquet')" in printed


def test_export_writes_closed_days_only(database, tmp_path):
    out = str(tmp_path / "lake")
    before_yesterday, yesterday = (str(datetime.now(UTC).date() - timedelta(days=days)) for days in (2, 1))
    one_day = ["--from", before_yesterday, "--to", yesterday]
    result = run(cli.app, ["export", "--out", out, "--format", "csv", *one_day])
    assert result.stdout.splitlines() == [f"{kind}/{before_yesterday}.csv" for kind in ("attempts", "calls", "events")]
    assert Path(out, "attempts", f"{before_yesterday}.csv").read_text() == ""
    assert result.stderr == "3 files written\n"
    none = run(cli.app, ["export", "--out", out, *one_day])
    assert (none.stdout, none.stderr.startswith("0 files written: these days have no rows")) == ("", True)
    refused = run(cli.app, ["export", "--out", out, "--to", "2999-01-01"])
    assert (refused.exit_code, "--to must be after --from" in refused.stderr) == (2, True)
    unreadable = run(cli.app, ["export", "--out", out, "--from", "yesterday"])
    assert (unreadable.exit_code, "days, for example 2026-12-01" in unreadable.stderr) == (2, True)


def test_export_leaves_the_files_of_days_whose_rows_are_deleted_by_now(database, tmp_path):
    day, following = (str(datetime.now(UTC).date() - timedelta(days=days)) for days in (40, 39))
    archived = tmp_path / "events" / f"{day}.csv"
    archived.parent.mkdir()
    archived.write_text("the events of that day")
    result = run(cli.app, ["export", "--out", str(tmp_path), "--format", "csv", "--from", day, "--to", following])
    assert result.stdout.splitlines() == [f"{kind}/{day}.csv" for kind in ("attempts", "calls")]
    assert f"events up to {day} are left as they are: their rows are deleted after 30 days" in result.stderr
    assert archived.read_text() == "the events of that day"


async def test_an_export_that_breaks_off_leaves_the_file_that_was_there(tmp_path):
    async def parts():
        yield b"half of the rows"
        raise ConnectionError

    target = tmp_path / "2026-12-01.csv"
    target.write_bytes(b"the rows of the export before")
    with pytest.raises(ConnectionError):
        await _write(target, parts())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        "2026-12-01.csv": b"the rows of the export before"
    }
