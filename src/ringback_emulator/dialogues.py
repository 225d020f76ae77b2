"""What is said in each kind of conversation, as (role, text) turns."""

from ringback_emulator.inbound_dialogues import INBOUND_DIALOGUES
from ringback_emulator.tool_dialogues import TOOL_DIALOGUES
from ringback_emulator.turns import OPENING, SAY, Turn

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
        *OPENING,
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
    "cut_short": (*OPENING, ("user", "No, this is a really bad moment, sorry. Bye.")),
    "callback": (
        *OPENING,
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
        *OPENING,
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
        *OPENING,
        ("user", "Yes, but I would rather talk to a person about the details of this offer."),
        (
            "agent",
            "Of course. I can connect you with somebody on our sales team who has your account in front of them. It "
            "usually takes less than a minute, and you do not have to repeat anything. Shall I do that now?",
        ),
        ("user", "Yes please, that would be great."),
        ("agent", "Thank you, {name}. I am transferring you now, please stay on the line."),
    ),
    **TOOL_DIALOGUES,
    **INBOUND_DIALOGUES,
}
