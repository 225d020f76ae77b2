"""The rules that decide when a person is called next, each as a clause that follows "because"."""

#: The rules of the eligibility check, and the planned time.
RULES_IN_WORDS = {
    "admitted": "nothing prevents a call",
    "due_at": "the planned time has not come",
    "paused": "all dialing is paused",
    "account_breaker": "Retell refuses the account",
    "no_free_slot": "all slots for live calls are in use",
    "start_rate": "the limit of calls per second is reached",
    "outside_calling_hours": "it is outside the calling hours",
    "calling_hours_never_open": "the calling hours are never open for this person",
    "attempt_gap": "the last attempt was a short time ago",
    "attempts_per_day": "the attempts of one day are used up",
    "person_on_another_attempt": "another attempt to this person is in progress",
    "person_on_inbound_call": "this person is calling us",
    "clock_skew": "the clock differs from the database's",
    "across_the_border": "the provider is not known to be on this installation's side, emulated or real",
    "suppressed": "this person is suppressed",
    "expired": "the call has expired",
    "country_not_allowed": "RINGBACK_COUNTRIES does not have the number's country",
    "number_type_not_allowed": "RINGBACK_NUMBER_TYPES does not have the number's kind",
    "no_more_retries": "the retries have ended",
    "budget_spent": "the attempts of the call are used up",
}
