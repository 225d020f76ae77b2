"""Dialogues of the emulated calls.

A turn is (role, text). `{name}` is the person's first name. `{say}` is the text that a function's answer told the
agent to say. The scenario's first function is called before the first turn that is `{say}`, its second before the
second, and so on.
"""

Turn = tuple[str, str]

SAY = "{say}"

_OPENING: tuple[Turn, ...] = (
    (
        "agent",
        "Hi {name}, this is Robin, the virtual assistant of Northwind. This call is recorded. Is now a good time?",
    ),
)

_ASKED_FOR_LATER: tuple[Turn, ...] = (
    *_OPENING,
    ("user", "Not really, I am about to walk into a meeting. What is it about?"),
    (
        "agent",
        "It is about the lower monthly rate you asked for last week. It takes about three minutes to go through the "
        "offer with you. When would be a better time for me to call you back?",
    ),
)
_CONFIRMED: tuple[Turn, ...] = (
    ("user", "Great, thank you. Talk to you then."),
    ("agent", "Thank you, {name}. Goodbye, and good luck with the meeting."),
)
_OFFER: tuple[Turn, ...] = (
    *_OPENING,
    ("user", "Yes, go ahead."),
    (
        "agent",
        "You asked us last week about a lower monthly rate. From this month you qualify for the spring offer, which "
        "takes twelve dollars off every bill for a year. Does that sound interesting to you?",
    ),
)

_FUNCTION_DIALOGUES: dict[str, tuple[Turn, ...]] = {
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
        *_CONFIRMED,
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
        *_CONFIRMED,
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

_GREETING: tuple[Turn, ...] = (
    ("agent", "Hi {name}, this is Robin, the virtual assistant of Northwind. This call is recorded. How can I help?"),
)

_INBOUND_DIALOGUES: dict[str, tuple[Turn, ...]] = {
    "inbound_question": (
        *_GREETING,
        ("user", "You tried to reach me this morning. What was it about?"),
        (
            "agent",
            "It was about the lower monthly rate you asked for. From this month you qualify for the spring offer, "
            "which takes twelve dollars off every bill for a year. The term of your contract stays as it is.",
        ),
        ("user", "I see. That is all I wanted to know, thank you."),
    ),
    "inbound_details": (
        *_GREETING,
        (
            "user",
            "You tried to reach me about the spring offer. I want it. Please send it to ada.lovelace@example.com.",
        ),
        ("agent", SAY),
        ("user", "I like e-mail better than letters, by the way, and our old contract runs until May."),
        ("agent", SAY),
        ("agent", "Then I only have to file our conversation."),
        ("agent", SAY),
        ("user", "Thank you. Bye."),
    ),
    "inbound_callback": (
        *_GREETING,
        ("user", "You wanted to call me back today, but I am in meetings. Could you make that tomorrow at 3pm?"),
        ("agent", "Let me look at the calendar, one moment please."),
        ("agent", SAY),
        ("user", "Great, thank you. Talk to you then."),
    ),
    "inbound_opt_out": (
        *_GREETING,
        ("user", "You keep calling me. Please do not call me again, and take me off your list."),
        ("agent", "I am sorry for the disturbance. I will record that right now."),
        ("agent", SAY),
        ("user", "Fine. Goodbye."),
    ),
    "inbound_cut_short": (*_GREETING, ("user", "Sorry, wrong number.")),
}

DIALOGUES: dict[str, tuple[Turn, ...]] = {
    "silence": (),
    "voicemail_message": (
        (
            "agent",
            "Hi {name}, this is Robin, the virtual assistant of Northwind. I am calling about the spring offer on "
            "your account. I will try you again, or you can reach us at the number on your statement. Have a good day.",
        ),
    ),
    "voicemail_hangup": (("agent", "Hi {name}, this is Robin, the virtual assistant of Northwind."),),
    "goal_met": (
        *_OPENING,
        ("user", "Hi, yes, I have a couple of minutes."),
        (
            "agent",
            "Thank you. You asked us last week about a lower monthly rate. From this month you qualify for the spring "
            "offer, which takes twelve dollars off every bill for a year. Shall I go through what changes?",
        ),
        ("user", "Sure. Does that mean I have to sign up for another two years?"),
        (
            "agent",
            "No, the term stays as it is. Only the rate changes, and you can go back to the old plan at any time in "
            "the first thirty days. I would send the contract to the e-mail address we have on file.",
        ),
        ("user", "Okay, that sounds good. Please send it to me."),
        ("agent", "I will send it right away. You will have it within the hour. Is there anything else today?"),
        ("user", "No, that was all. Thanks for calling."),
        ("agent", "Thank you, {name}. Have a nice day. Goodbye."),
    ),
    "cut_short": (*_OPENING, ("user", "No, this is a really bad moment, sorry. Bye.")),
    "callback": (
        *_OPENING,
        ("user", "Not really, I am about to walk into a meeting. What is it about?"),
        (
            "agent",
            "It is about the lower monthly rate you asked for last week. It takes about three minutes to go through "
            "the offer with you. When would be a better time for me to call you back?",
        ),
        ("user", "Could you call me tomorrow at 3pm? I should be at my desk all afternoon."),
        ("agent", "Let me put that into the calendar for you, one moment please."),
        ("agent", SAY),
        ("user", "Great, thank you. Talk to you then."),
        ("agent", "Thank you, {name}. Goodbye, and good luck with the meeting."),
    ),
    "opt_out": (
        *_OPENING,
        ("user", "Where did you get this number? I do not want these calls."),
        (
            "agent",
            "I am sorry for the disturbance. You gave us this number when you opened your account. I was calling about "
            "the lower monthly rate, but I understand that you would rather not be called.",
        ),
        ("user", "Yes. Please do not call me again, and take me off your list."),
        ("agent", "Of course. I will record that right now."),
        ("agent", SAY),
        ("user", "Fine. Goodbye."),
    ),
    "transfer": (
        *_OPENING,
        ("user", "Yes, but I would rather talk to a person about the details of this offer."),
        (
            "agent",
            "Of course. I can connect you with somebody on our sales team who has your account in front of them. It "
            "usually takes less than a minute, and you do not have to repeat anything. Shall I do that now?",
        ),
        ("user", "Yes please, that would be great."),
        ("agent", "Thank you, {name}. I am transferring you now, please stay on the line."),
    ),
    **_FUNCTION_DIALOGUES,
    **_INBOUND_DIALOGUES,
}
