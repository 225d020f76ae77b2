"""Settings: both columns of defaults, every problem at once, no secret shown."""

import json
import re
from pathlib import Path

import phonenumbers
import pytest

from ringback.config import Access, SettingsError, describe, read_access, read_access_url, read_settings
from ringback.domain.follow_up import Deadlines


def problems(env, emulated=False) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(env, emulated)
    return caught.value.problems


def test_the_defaults_of_production_are_the_first_column():
    settings = read_settings({}, emulated=False)
    policy = settings.dial_policy
    assert (settings.call_queue, settings.event_queue) == ("calls", "events")
    assert policy.countries == {"US"}
    assert str(policy.calling_hours) == "mon-sat 09:00-20:00"
    assert (policy.max_live_calls, policy.calls_per_second) == (20, 1)
    assert (policy.attempts_per_day, policy.attempt_gap_s) == (3, 900)
    assert policy.lease_s == 60
    assert settings.deadlines == Deadlines(
        silence_s=180,
        not_connected_s=20,
        analysis_s=300,
        analysis_give_up_s=86400,
        max_call_s=3600,
        unknown_lookups_s=(5, 30, 120, 600, 1800, 4200),
        same_key_window_s=2700,
        inbound_hold_s=1800,
    )
    assert settings.retell_webhook_key == ()
    assert settings.database_url is None


def test_the_defaults_with_the_emulators_are_the_second_column():
    settings = read_settings({}, emulated=True)
    policy = settings.dial_policy
    assert str(policy.calling_hours) == "always"
    assert (policy.max_live_calls, policy.calls_per_second) == (400, 100)
    assert (policy.attempts_per_day, policy.attempt_gap_s, policy.lease_s) == (0, 0, 33)
    assert settings.deadlines.unknown_lookups_s == (1, 3, 10, 30, 60, 120)
    assert (settings.silence_deadline_s, settings.not_connected_deadline_s) == (10, 3)
    assert (settings.analysis_deadline_s, settings.analysis_give_up_s, settings.max_call_s) == (10, 120, 600)
    assert settings.same_key_window_s == 2700


def test_a_given_setting_overrides_either_default():
    env = {"RINGBACK_CALLING_HOURS": "mon-fri 10:00-12:00", "RINGBACK_MAX_LIVE_CALLS": "7"}
    for emulated in (True, False):
        settings = read_settings(env, emulated)
        assert str(settings.calling_hours) == "mon-fri 10:00-12:00"
        assert settings.max_live_calls == 7
        assert settings.given == set(env)


def test_an_empty_setting_counts_as_absent():
    settings = read_settings({"RINGBACK_COUNTRIES": " ", "RINGBACK_INSTANCE": ""}, emulated=False)
    assert settings.countries == {"US"}
    assert settings.instance is None
    assert settings.given == set()


def test_all_problems_are_listed_at_once_without_secrets():
    env = {
        "RINGBACK_DATABASE_URL": "mysql://user:hunter2@host/db",
        "RINGBACK_CALL_QUEUE": "a queue",
        "RETELL_API_KEY": "hunter2 with spaces",
        "RETELL_WEBHOOK_KEY": "key_one,,key_two",
        "RINGBACK_ENGAGE_SECRET": "hunter2",
        "RINGBACK_COUNTRIES": "USA",
        "RINGBACK_NUMBER_TYPES": "premium,fax",
        "RINGBACK_CALLING_HOURS": "whenever",
        "RINGBACK_MAX_LIVE_CALLS": "0",
        "RINGBACK_CALLS_PER_SECOND": "1.5",
        "RINGBACK_ATTEMPT_GAP_S": "-1",
        "RINGBACK_CREATE_TIMEOUT_S": "soon",
        "RINGBACK_UNKNOWN_LOOKUPS_S": "5,5,30",
        "RINGBACK_SAME_KEY_WINDOW_S": "3600",
        "RINGBACK_EMULATOR_SPEED": "nan",
        "RINGBACK_LOG_FORMAT": "xml",
    }
    found = problems(env)
    assert [problem.partition(":")[0] for problem in found] == list(env)
    assert not any("hunter2" in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [("", set()), ("none", set()), ("toll_free", {"toll_free"}), ("premium, pager", {"premium", "pager"})],
)
def test_number_types_are_parsed_and_default_to_none(text, kinds):
    settings = read_settings({"RINGBACK_NUMBER_TYPES": text}, emulated=False)
    assert settings.number_types == settings.dial_policy.number_types == kinds


def test_settings_that_contradict_each_other_are_a_problem():
    assert problems({"RINGBACK_ENGAGE_URL": "https://engage.example"})[0].startswith("RINGBACK_ENGAGE_SECRET")
    late = {"RINGBACK_ANALYSIS_DEADLINE_S": "100", "RINGBACK_ANALYSIS_GIVE_UP_S": "50"}
    assert problems(late)[0].startswith("RINGBACK_ANALYSIS_GIVE_UP_S")


def test_the_webhook_key_is_the_api_key_unless_given_and_may_be_two_while_rotating():
    assert read_settings({"RETELL_API_KEY": "key_a"}, False).retell_webhook_key == ("key_a",)
    both = {"RETELL_API_KEY": "key_a", "RETELL_WEBHOOK_KEY": "key_b, key_c"}
    assert read_settings(both, False).retell_webhook_key == ("key_b", "key_c")


@pytest.mark.parametrize("queue", ["calls-2", "https://sqs.us-east-1.amazonaws.com/1/q", "http://127.0.0.1:4566/0/q"])
def test_a_queue_is_a_name_or_an_sqs_url(queue):
    assert read_settings({"RINGBACK_CALL_QUEUE": queue}, False).call_queue == queue


def test_the_region_is_read_under_either_of_the_sdks_names():
    assert read_settings({"AWS_DEFAULT_REGION": "eu-west-1"}, False).aws_region == "eu-west-1"
    assert (
        read_settings({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "us-east-1"}, False).aws_region == "us-east-1"
    )


def test_doctor_shows_every_setting_and_no_secret():
    env = {
        "RINGBACK_DATABASE_URL": "postgresql://app:hunter2@db.example/ringback?password=hunter2&sslmode=require",
        "RETELL_API_KEY": "key_hunter2",
        "RINGBACK_ENGAGE_URL": "https://engage.example",
        "RINGBACK_ENGAGE_SECRET": "whsec_aHVudGVyMg==",
        "RINGBACK_API_KEY": "rbk_hunter2",
        "RINGBACK_CATALOG": "/etc/ringback.toml",
    }
    rows = {name: (value, origin) for name, value, origin in describe(read_settings(env, emulated=True))}
    assert rows["RINGBACK_DATABASE_URL"][0] == (
        "postgresql://app:••••@db.example/ringback?password=••••&sslmode=require"
    )
    assert rows["RETELL_API_KEY"] == ("••••", "environment")
    assert rows["RETELL_WEBHOOK_KEY"] == ("••••", "RETELL_API_KEY")
    assert rows["RINGBACK_CALLING_HOURS"] == ("always", "default beside the emulators")
    assert rows["RINGBACK_COUNTRIES"] == ("US", "default")
    assert rows["RINGBACK_NUMBER_TYPES"] == ("none", "default")
    assert rows["RINGBACK_INSTANCE"] == ("", "not set")
    assert rows["RINGBACK_UNKNOWN_LOOKUPS_S"][0] == "1,3,10,30,60,120"
    assert not re.search("hunter2|aHVudGVyMg", json.dumps(rows))


def test_access_is_read_from_the_environment_or_from_the_running_system(tmp_path: Path):
    up_file = tmp_path / "up.json"
    with pytest.raises(SettingsError):
        read_access({}, up_file)
    up_file.write_text(json.dumps({"url": "http://127.0.0.1:8080", "api_key": "rbk_local"}))
    assert read_access({}, up_file) == Access("http://127.0.0.1:8080", "rbk_local")
    elsewhere = {"RINGBACK_URL": "https://voice.example/", "RINGBACK_API_KEY": "rbk_far"}
    assert read_access(elsewhere, up_file) == Access("https://voice.example", "rbk_far")


def test_the_key_of_the_running_system_is_not_used_with_another_url(tmp_path: Path):
    up_file = tmp_path / "up.json"
    up_file.write_text(json.dumps({"url": "http://127.0.0.1:8080", "api_key": "rbk_local"}))
    with pytest.raises(SettingsError):
        read_access({"RINGBACK_URL": "https://voice.example"}, up_file)
    assert read_access({"RINGBACK_API_KEY": "rbk_far"}, up_file) == Access("http://127.0.0.1:8080", "rbk_local")


def test_every_country_of_the_number_plan_may_be_a_setting():
    countries = ",".join(sorted(phonenumbers.SUPPORTED_REGIONS))
    read = read_settings({"RINGBACK_COUNTRIES": countries}, emulated=False)
    assert read.countries == phonenumbers.SUPPORTED_REGIONS
    with pytest.raises(SettingsError, match="QQ, ZZ is no country of ISO 3166"):
        read_settings({"RINGBACK_COUNTRIES": "ZZ,US,QQ"}, emulated=False)


@pytest.mark.parametrize("hosts", ["a", "a:5432", "u:p@a:5432,b:5433", "[::1]:5432", "/x?host=a,b&port=5432,5432"])
def test_a_database_may_have_several_hosts(hosts):
    url = f"postgresql://{hosts}"
    assert read_settings({"RINGBACK_DATABASE_URL": url}, emulated=False).database_url == url


def test_the_address_of_a_running_system_is_a_url(tmp_path):
    for url in ("localhost:8080", "http://", "ftp://x"):
        with pytest.raises(SettingsError, match="RINGBACK_URL: must"):
            read_access({"RINGBACK_URL": url, "RINGBACK_API_KEY": "rbk_1"}, tmp_path / "up.json")
    assert read_access_url({"RINGBACK_URL": "https://x.example/"}, tmp_path / "up.json") == "https://x.example"
