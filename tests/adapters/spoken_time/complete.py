"""Requests that name a day and a clock time, with their moment.

Said on Sunday, 22 November 2026, at three in the afternoon in New York, by a person there (a United States number).
After the moment: a zone if the words name one; "+ minutes" is a span from now.
"""

PHRASES = """
tomorrow at 3pm | 2026-11-23 15:00
Tomorrow, at 3 P.M. | 2026-11-23 15:00
3 p m tomorrow | 2026-11-23 15:00
Can you call me tomorrow at 3pm? | 2026-11-23 15:00
could you please call me back tomorrow at 3 pm | 2026-11-23 15:00
Could you ring me tomorrow at 3pm please | 2026-11-23 15:00
would you give me a call tomorrow at 3 pm | 2026-11-23 15:00
please call tomorrow at 3pm, thanks | 2026-11-23 15:00
tomorrow at 3pm works for me | 2026-11-23 15:00
tomorrow at 3pm works | 2026-11-23 15:00
3pm tomorrow would be great | 2026-11-23 15:00
tomorrow at 3pm is good | 2026-11-23 15:00
tomorrow at 3 pm is fine for me | 2026-11-23 15:00
Tomorrow at 3pm would be perfect, thank you! | 2026-11-23 15:00
tomorrow at 3 pm sharp | 2026-11-23 15:00
exactly 3pm tomorrow | 2026-11-23 15:00
tomorrow at 3pm on the dot | 2026-11-23 15:00
yeah, tomorrow at 3pm | 2026-11-23 15:00
um, let's say tomorrow at 3pm | 2026-11-23 15:00
let's do tomorrow at 3pm | 2026-11-23 15:00
how about tomorrow at 3pm? | 2026-11-23 15:00
maybe tomorrow at 3pm? | 2026-11-23 15:00
I'd like you to call me tomorrow at 3pm | 2026-11-23 15:00
I want to be called tomorrow at 3pm | 2026-11-23 15:00
I'm free tomorrow at 3pm | 2026-11-23 15:00
I'll be available tomorrow at 3pm | 2026-11-23 15:00
I can talk tomorrow at 3pm | 2026-11-23 15:00
reschedule it for tomorrow at 3pm | 2026-11-23 15:00
put me down for tomorrow at 3pm | 2026-11-23 15:00
call me at 3pm tomorrow if possible | 2026-11-23 15:00
tomorrow around 3pm | 2026-11-23 15:00
tomorrow at 3pm or so | 2026-11-23 15:00
call me on my cell tomorrow at 3pm | 2026-11-23 15:00
"tomorrow at 3pm" | 2026-11-23 15:00
“tomorrow at 3pm” | 2026-11-23 15:00
'tomorrow at 3pm' | 2026-11-23 15:00
tomorrow - 3pm | 2026-11-23 15:00
tomorrow — 3 pm | 2026-11-23 15:00
Tomorrow: 3pm | 2026-11-23 15:00
tomorrow (3pm) | 2026-11-23 15:00
[tomorrow, 3pm] | 2026-11-23 15:00
(tomorrow at 3pm) | 2026-11-23 15:00
tomorrow @ 3pm | 2026-11-23 15:00
tomorrow... 3 pm | 2026-11-23 15:00
tmrw at 3pm | 2026-11-23 15:00
tomorrow at 15:00 | 2026-11-23 15:00
tomorrow 1530 | 2026-11-23 15:30
tomorrow at 1530 | 2026-11-23 15:30
tomorrow at 0930 | 2026-11-23 09:30
tomorrow at 1030 hours | 2026-11-23 10:30
tomorrow at 330pm | 2026-11-23 15:30
tomorrow 1130 am | 2026-11-23 11:30
tomorrow at 3.30pm | 2026-11-23 15:30
tomorrow at three thirty pm | 2026-11-23 15:30
tomorrow at three o'clock in the afternoon | 2026-11-23 15:00
tomorrow at half past three in the afternoon | 2026-11-23 15:30
tomorrow afternoon at half past three | 2026-11-23 15:30
half past 3 pm tomorrow | 2026-11-23 15:30
a quarter past three tomorrow afternoon | 2026-11-23 15:15
tomorrow at a quarter to four pm | 2026-11-23 15:45
tomorrow at 20 past 4 pm | 2026-11-23 16:20
tomorrow at ten minutes to four pm | 2026-11-23 15:50
tomorrow at noon | 2026-11-23 12:00
noon tomorrow works best | 2026-11-23 12:00
12 noon tomorrow | 2026-11-23 12:00
midday tomorrow | 2026-11-23 12:00
tomorrow at 12 pm | 2026-11-23 12:00
tomorrow morning at ten | 2026-11-23 10:00
9 tomorrow morning | 2026-11-23 09:00
tomorrow evening at 7 | 2026-11-23 19:00
tomorrow night at 8 | 2026-11-23 20:00
this time tomorrow | 2026-11-23 15:00
same time tomorrow | 2026-11-23 15:00
tomorrow at the same time | 2026-11-23 15:00
call me this time tomorrow please | 2026-11-23 15:00
same time on Wednesday | 2026-11-25 15:00
same time next week | 2026-11-29 15:00
today at 5pm | 2026-11-22 17:00
later today at 5pm | 2026-11-22 17:00
today at 5 | 2026-11-22 17:00
tonight at 8 | 2026-11-22 20:00
this evening at 7:30 | 2026-11-22 19:30
at 4:15 this afternoon | 2026-11-22 16:15
the day after tomorrow at 8 am | 2026-11-24 08:00
Tue at 3pm | 2026-11-24 15:00
Tues 3pm | 2026-11-24 15:00
Tue. 3 pm | 2026-11-24 15:00
Wed at 10am | 2026-11-25 10:00
Weds at 10am | 2026-11-25 10:00
Thu 2pm | 2026-11-26 14:00
Thurs at 2:30 pm | 2026-11-26 14:30
Fri 4pm works | 2026-11-27 16:00
Sat at 11am | 2026-11-28 11:00
Mon 9am | 2026-11-23 09:00
Mon-3pm | 2026-11-23 15:00
Tuesday at 3 in the afternoon | 2026-11-24 15:00
on Friday at half past two pm | 2026-11-27 14:30
this Friday at 2pm | 2026-11-27 14:00
this coming Tuesday at 10am | 2026-11-24 10:00
next Sunday at 4pm | 2026-11-29 16:00
Friday at noon would work | 2026-11-27 12:00
Monday the 23rd at 3pm | 2026-11-23 15:00
a week from Tuesday at 10am | 2026-12-01 10:00
two weeks from Monday at 9 am | 2026-12-07 09:00
in three days at 3pm | 2026-11-25 15:00
in a week at 2 pm | 2026-11-29 14:00
in a couple of days at 2 pm | 2026-11-24 14:00
a week from tomorrow at 9 am | 2026-11-30 09:00
the 5th at noon | 2026-12-05 12:00
the twenty-fifth at 9 a.m. | 2026-11-25 09:00
saturday the 5th at noon | 2026-12-05 12:00
December 3rd at 4:30 pm | 2026-12-03 16:30
3 December at 4:30 pm | 2026-12-03 16:30
the third of december at four thirty p.m. | 2026-12-03 16:30
Dec. 3, 2026 at 10 PM | 2026-12-03 22:00
Dec 3 - 3pm | 2026-12-03 15:00
Dec 3 1530 | 2026-12-03 15:30
friday december 4 at noon | 2026-12-04 12:00
12/1 at 3pm | 2026-12-01 15:00
12/1 - 3pm | 2026-12-01 15:00
12/1, 3 PM | 2026-12-01 15:00
Tue 12/1 at 3pm | 2026-12-01 15:00
12/1/2026 at 3pm | 2026-12-01 15:00
12/1/26 3:00 PM | 2026-12-01 15:00
11/30 at 10am | 2026-11-30 10:00
12/25 at 3pm | 2026-12-25 15:00
25/12 at 3pm | 2026-12-25 15:00
2026-12-02 15:00 | 2026-12-02 15:00
2026-12-02 at 3pm | 2026-12-02 15:00
tomorrow at 3 PM EST | 2026-11-23 15:00 America/New_York
tomorrow at 3pm ET | 2026-11-23 15:00 America/New_York
tomorrow at 3pm Eastern | 2026-11-23 15:00 America/New_York
tomorrow at 3pm Eastern time | 2026-11-23 15:00 America/New_York
tomorrow at 3 p.m. Eastern Standard Time | 2026-11-23 15:00 America/New_York
Monday at 3pm Eastern | 2026-11-23 15:00 America/New_York
3pm (EST) on Monday | 2026-11-23 15:00 America/New_York
Monday at 3pm Pacific | 2026-11-23 15:00 America/Los_Angeles
Monday 3 PM PST | 2026-11-23 15:00 America/Los_Angeles
Monday at 2pm Central time | 2026-11-23 14:00 America/Chicago
Monday at 2pm CT | 2026-11-23 14:00 America/Chicago
Monday at 2pm CST please | 2026-11-23 14:00 America/Chicago
Monday at 2pm Mountain time | 2026-11-23 14:00 America/Denver
Monday at 2pm Phoenix time | 2026-11-23 14:00 America/Phoenix
Monday at 2pm Arizona time | 2026-11-23 14:00 America/Phoenix
Monday at 9am Hawaii time | 2026-11-23 09:00 Pacific/Honolulu
can you call me Monday at 2pm Chicago time | 2026-11-23 14:00 America/Chicago
tomorrow at 8pm UTC | 2026-11-23 20:00 UTC
tomorrow at 3pm my time | 2026-11-23 15:00
tomorrow 3 PM local time | 2026-11-23 15:00
tomorrow at 3pm in my time zone | 2026-11-23 15:00
in 30 minutes | + 30
ring me back in 30 minutes | + 30
call me back in thirty minutes please | + 30
30 minutes | + 30
30 mins | + 30
in half an hour | + 30
in a half hour | + 30
a quarter of an hour from now | + 15
in three quarters of an hour | + 45
in an hour | + 60
about an hour | + 60
in an hour or so | + 60
in an hour and a half | + 90
one hour from now | + 60
in a couple of hours | + 120
a couple hours | + 120
give me two hours | + 120
could you try again in two hours? | + 120
in 2 hrs | + 120
in two and a half hours | + 150
in 2 hours and 30 minutes | + 150
2 hours later | + 120
in two hours' time | + 120
please call me back in 24 hours | + 1440
"""
