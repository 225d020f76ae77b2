"""Conversations in which the agent uses its functions, as (role, text) turns."""

from ringback_emulator.turns import OPENING, SAY, Turn

_ASKED_FOR_LATER: tuple[Turn, ...] = (
    *OPENING,
    ("user", "Not really, I am about to walk into a meeting. What is it about?"),
    (
        "agent",
        "It is about the lower monthly rate you asked for last week. It takes about three minutes to go through the "
        "offer with you. When would be a better time for me to call you back?",
    ),
)
_SEE_YOU: tuple[Turn, ...] = (
    ("user", "Great, thank you. Talk to you then."),
    ("agent", "Thank you, {name}. Goodbye, and good luck with the meeting."),
)
_OFFER: tuple[Turn, ...] = (
    *OPENING,
    ("user", "Yes, go ahead."),
    (
        "agent",
        "You asked us last week about a lower monthly rate. From this month you qualify for the spring offer, which "
        "takes twelve dollars off every bill for a year. Does that sound interesting to you?",
    ),
)

TOOL_DIALOGUES: dict[str, tuple[Turn, ...]] = {
    "details_noted": (
        *_OFFER,
        (
            "user",
            "Very much so, we have twelve seats here. Please write to ada.lovelace@example.com, I like e-mail better "
            "than letters, and our old contract runs until May.",
        ),
        ("agent", "Thank you, I am making a note of that, one moment please."),
        ("agent", SAY),
        ("user", "Good. Then please send me the contract today."),
        ("agent", "I will send it right away. Thank you, {name}. Have a nice day. Goodbye."),
    ),
    "callback_elsewhere": (
        *_ASKED_FOR_LATER,
        ("user", "Tomorrow at 3pm. But I have moved to the East Coast, so 3pm Eastern, please."),
        ("agent", "Thank you, let me correct that first."),
        ("agent", SAY),
        ("agent", "And now the call itself, one moment please."),
        ("agent", SAY),
        *_SEE_YOU,
    ),
    "callback_withdrawn": (
        *_ASKED_FOR_LATER,
        ("user", "Could you call me tomorrow at 3pm?"),
        ("agent", "Let me put that into the calendar for you, one moment please."),
        ("agent", SAY),
        ("user", "Actually, never mind. I do not think I need another call about this."),
        ("agent", "Of course, I am taking it out again."),
        ("agent", SAY),
        ("user", "Thanks. Bye."),
    ),
    "callback_clarified": (
        *_ASKED_FOR_LATER,
        ("user", "Could you call me tomorrow?"),
        ("agent", "Let me look at the calendar, one moment please."),
        ("agent", SAY),
        ("user", "Oh, sure. Tomorrow at 3pm, then."),
        ("agent", "Thank you, one moment please."),
        ("agent", SAY),
        *_SEE_YOU,
    ),
    "everything_asked": (
        *_OFFER,
        ("user", "It does. Before we go on: I have moved, I am on Eastern time now."),
        ("agent", SAY),
        ("user", "And please use ada.lovelace@example.com from now on, I am really interested in this."),
        ("agent", SAY),
        ("user", "I like e-mail better than letters, by the way, and our old contract runs until May."),
        ("agent", SAY),
        ("user", "We would need it for twelve seats."),
        ("agent", SAY),
        ("user", "Could you call me tomorrow at 3pm to go through the contract?"),
        ("agent", SAY),
        ("user", "Actually, never mind the call. Just send me the contract today."),
        ("agent", SAY),
        ("agent", "I will send it right away and file our conversation."),
        ("agent", SAY),
        ("user", "Thanks for calling."),
        ("agent", "Thank you, {name}. Have a nice day. Goodbye."),
    ),
}
