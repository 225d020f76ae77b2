"""How long the watchdog and the look-ups wait, all in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`analysis_s` is the first look for a missing analysis; the pause then doubles until `analysis_give_up_s`."""

    silence_s: int  # nothing heard after placing
    not_connected_s: int  # ended without a connection, no verdict yet
    analysis_s: int
    analysis_give_up_s: int
    max_call_s: int
    unknown_lookups_s: tuple[int, ...]  # since the unclear answer; after the last one it is abandoned
    same_key_window_s: int  # 0: an unclear attempt is never sent again
    inbound_hold_s: int
