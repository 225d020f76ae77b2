"""Requests that need a question, or are rejected because they are past. Any other reading of them is wrong.

Said on Sunday, 22 November 2026, at three in the afternoon in New York, by a person there, if nothing else is said.
"""

PHRASES = """
tomorrow
Tuesday
tonight
this afternoon
tomorrow morning
first thing tomorrow
tomorrow after lunch
end of day tomorrow
lunchtime tomorrow
December 3
December 3 2030
December third twenty twenty-six
December third twenty thirty
12/25 2030
the 5th
in three days
next week
this weekend
next month at 3pm
3pm
3 PM Eastern
at noon
15:00
1530
at half past two pm
any Tuesday at 3pm
Mondays at 3pm
every day at 3pm
weekdays at 10am
10
later
soon
whenever
in a few minutes
in a few hours
in a while
in a couple
in an hour or two
in 30
for 30 minutes
call me for 30 minutes
I have 30 minutes
30 minutes ago
30 minutes tomorrow
within an hour
in the next hour
in 20 to 30 minutes
in 1-2 hours
tomorrow at 3
tomorrow at 3 o'clock
tomorrow at half past three
tomorrow at 9:00
tomorrow at 1030
tomorrow 930
tuesday at seven thirty
tomorrow at 12
Monday at 3 Eastern
tomorrow at midnight
tomorrow half three
next Tuesday at 10am
next Friday at noon
Tuesday next week at 10am
the following Tuesday at 10am
last Tuesday at 3pm
yesterday at 3pm
today at 9am
2020-01-01 10:00
december 3 2025 at noon
11/20/2026 at 3pm
not tomorrow at 3pm
don't call me tomorrow at 3pm
do not call tomorrow at 3pm
never call me tomorrow at 3pm
not before noon tomorrow
tomorrow but not at 3pm
any time but 3pm tomorrow
any time tomorrow except 3pm
anytime tomorrow at 3pm or later
tomorrow at 3pm doesn't work
tomorrow at 3pm does not work for me
I can't do tomorrow at 3pm
I'm not free tomorrow at 3pm
I am busy tomorrow at 3pm
no, tomorrow at 3pm, no wait, 4pm
tomorrow at 3pm, actually 4pm
tomorrow at 3pm is no good
tomorrow at 3pm unless I'm in a meeting
tomorrow at 3pm if my boss lets me
after 3pm tomorrow
before 3pm tomorrow
just after 3pm tomorrow
by 3pm tomorrow
until 3pm tomorrow
from 3pm tomorrow
3pm tomorrow at the earliest
tomorrow 3pm at the latest
tomorrow between 3 and 4 pm
tomorrow from 3 to 4pm
tomorrow 5 to 7 pm
tomorrow 3-4pm
tomorrow 3 - 4pm
tomorrow 10-11am
tomorrow 10 – 11 am
tomorrow 10 am - 11 am
tomorrow at 10am-11
Dec 3-5 at noon
Dec 3 - Dec 5 at 3pm
Dec 5 - 7 in the morning
Mon-Wed 3pm
Monday to Friday at 3pm
tomorrow at 3pm or 4pm
tomorrow at 3 or 4 in the afternoon
tomorrow or Tuesday at 3pm
tomorrow at 3pm and Tuesday at 4pm
tomorrow at 3pm 4pm
tomorrow, Tuesday, at 3pm
friday the 5th at noon
thursday december 4 at noon
february 30 at noon
11/31 at noon
13/13 at noon
tomorrow at 3pm in the morning
tomorrow morning at 3pm
tomorrow at 13 pm
tomorrow at 25:00
tomorrow at 3:75 pm
tonight at noon
tonight at 1
tomorrow at 12 at night
an hour tomorrow
in an hour tomorrow
tomorrow at 3pm your time
tomorrow at 3pm Eastern or Pacific
tomorrow at 3pm MST
tomorrow at 3pm MT
tomorrow at 3pm GMT
tomorrow at 3pm UTC-5
tomorrow at 3pm Springfield time
tomorrow at 3pm Washington time
call my wife tomorrow at 3pm
call me on 415 555 0100 tomorrow at 3pm
I'll call you tomorrow at 3pm
I can call you tomorrow at 3pm
stop calling me tomorrow at 3pm
my meeting is tomorrow at 3pm
tomorrow at 3pm for 30 minutes
tomorrow at 3pm for two hours
tomorrow at 3pm extension 930
mañana a las 3
2026-02-30T10:00
tomorrow at 3pmish
sometime tomorrow around 3ish
"""
