"""What the analyses of the scripted talks say, in the words and custom fields of a believable agent."""

from ringback_emulator.script import Verdict

GOAL_MET = Verdict(
    True,
    "Positive",
    "The agent introduced the spring offer. The user was interested, confirmed the e-mail address on file and agreed "
    "to receive the contract today.",
    custom={"interest": "high", "callback_requested": False, "next_step": "send contract"},
)
CUT_SHORT = Verdict(
    False,
    "Negative",
    "The user said it was a bad moment and hung up before the agent could explain the offer.",
    custom={"interest": "low", "callback_requested": False},
)
OPTED_OUT = Verdict(
    False,
    "Negative",
    "The user asked not to be called again. The agent apologised and recorded the request.",
    custom={"interest": "low", "callback_requested": False, "do_not_call": True},
)
CALLBACK = Verdict(
    False,
    "Neutral",
    "The user was busy and asked to be called back tomorrow at 3pm. The agent arranged the callback.",
    custom={"interest": "medium", "callback_requested": True},
)
CALLBACK_WITHDRAWN = Verdict(
    False,
    "Neutral",
    "The user asked for a callback tomorrow at 3pm and then changed their mind. The agent cancelled the callback.",
    custom={"interest": "low", "callback_requested": False},
)
MESSAGE_LEFT = Verdict(
    False, "Unknown", "The call reached a voicemail box and the agent left its message.", in_voicemail=True
)
HUNG_UP_ON_MACHINE = Verdict(
    False, "Unknown", "The call reached a voicemail box and ended without a message.", in_voicemail=True
)
TRANSFERRED = Verdict(
    True,
    "Positive",
    "The user wanted to speak to a person about the details and was transferred to the sales team.",
    custom={"interest": "high", "callback_requested": False, "next_step": "sales team"},
)
QUESTION_ANSWERED = Verdict(
    True,
    "Positive",
    "The user called to ask about the lower monthly rate. The agent explained it and the user was content.",
    custom={"interest": "medium", "callback_requested": False},
)
