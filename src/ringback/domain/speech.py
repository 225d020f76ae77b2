"""Moments in words that a voice can speak."""

from datetime import datetime, timedelta

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def say_clock(local: datetime) -> str:
    """ "3 PM", "9:30 AM", "noon", "midnight"."""
    if local.minute == 0 and local.hour in (0, 12):
        return "noon" if local.hour else "midnight"
    minutes = f":{local.minute:02d}" if local.minute else ""
    return f"{local.hour % 12 or 12}{minutes} {'AM' if local.hour < 12 else 'PM'}"


def say_moment(local: datetime, now_local: datetime) -> str:
    """ "tomorrow at 3 PM"; both times are the wall clock of the person who hears it."""
    days_ahead = (local.date() - now_local.date()) // timedelta(days=1)
    return f"{_day(local, days_ahead)} at {say_clock(local)}"


def say_zone(zone: str) -> str:
    """ "America/New_York" is "New York time"."""
    return f"{zone.rpartition('/')[2].replace('_', ' ')} time"


def _day(local: datetime, days_ahead: int) -> str:
    if days_ahead in (0, 1):
        return ("today", "tomorrow")[days_ahead]
    weekday = DAYS[local.weekday()]
    if 1 < days_ahead < 7:
        return f"on {weekday}"
    return f"on {weekday}, {MONTHS[local.month - 1]} {local.day},"
