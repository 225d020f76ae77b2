"""What a dialogue is made of.

`{name}` is the person's first name and `{say}` what a tool told the agent to say. A scenario's first tool is called
before the dialogue's first turn that is `{say}`, its second before the second, and so on.
"""

Turn = tuple[str, str]

SAY = "{say}"

OPENING: tuple[Turn, ...] = (
    (
        "agent",
        "Hi {name}, this is Robin, the virtual assistant of Northwind. This call is recorded. Is now a good time?",
    ),
)
