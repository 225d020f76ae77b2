"""Conversations with somebody who calls, as (role, text) turns."""

from ringback_emulator.turns import SAY, Turn

_GREETING: tuple[Turn, ...] = (
    ("agent", "Hi {name}, this is Robin, the virtual assistant of Northwind. This call is recorded. How can I help?"),
)

INBOUND_DIALOGUES: dict[str, tuple[Turn, ...]] = {
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
