"""The actions' reference in Markdown, from their declarations: `python -m ringback.web.action_reference FILE`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ringback.domain.catalog import built_in_catalog
from ringback.flows.business_operations import declarations
from ringback.flows.business_operations.action import ActionDeclaration
from ringback.web.routes.actions import STATUS_OF_CODE

COMMON_CODES = {
    "invalid_args": "An argument is unknown or unusable; `result.errors` names every one, and why.",
    "not_found": "There is no such call, contact or task.",
    "no_call": "The tool call belongs to no conversation of this installation. Only for Retell.",
    "wrong_function": "The body names another function than its path; nothing was done. Only for Retell.",
    "key_reused": "The idempotency key belongs to another request. Only for systems.",
    "unavailable": "Not now; the same request may be repeated. Only for Retell; systems get a 503.",
    "rehearsed": "The dashboard's playground asked: everything was checked and nothing written.",
}

HEAD = """\
# The business actions

Made from the code by `python -m ringback.web.action_reference docs/actions.md`; a test compares.
The choices, fields and events are those of the built-in catalogue, which `ringback catalog` prints.
[The catalogue](catalogue.md) says how to write your own.

Systems ask at `POST /v1/actions/{action}` with an API key:

```json
{"call_id": "…", "args": {}, "idempotency_key": "…"}
```

In place of `call_id` stands `contact_id` or `task_id`; exactly one of them, unless the action says that its arguments
are enough. Agents ask at `POST /v1/retell/functions/{action}`, signed by Retell; the conversation itself is the target.
`ringback retell tools` prints the tool definitions for an agent. Systems and agents get the same reply:

```json
{"ok": true, "code": "…", "say": "One sentence that the agent may speak.", "result": {}}
```

Systems are held to the letter: unknown arguments are refused. Agents are not. What the platform or a model adds is
ignored, and `result.ignored` lists it. From an agent these are no value, neither written nor asked for again:
`null`, `""`, "null", "N/A", "undefined", characters that show nothing, and variables that were not filled in (`{{…}}`).
An optional argument that cannot be used is cut or left out. An object may be a JSON string, and arguments may stand
beside the `call`. A body's `name` has to be the function that its path names.

An agent's spelling is read where it has one reading: `"2000"` and `"$2,000"` are the number 2000, `"yes"` is true,
`"Not interested"` is the choice `not_interested`. These are not: `"2k"`, `"about 2000"`, `"2.000"`, `"2000 or 3000"`,
`"007"`, `"sure"`, `1` for true, `"very high"` for `high`. Then `result` says what the value has to be.

A tool call's key is its id in the transcript; of several the one whose arguments are the body's. Without an id the key
is what was asked, for 60 s, and only until another action undoes it: a person may change their mind.

An agent always gets the status 200. For a system a refusal is a problem (RFC 9457) that holds the reply:
404 for `not_found`, 409 for `already_dispatched` and `key_reused`, else 422.

Codes that every action may answer:

"""


def reference(declared: Iterable[ActionDeclaration]) -> str:
    """The whole document, with one section for each action."""
    lines = [HEAD + "\n".join(_rows(("code", "means"), COMMON_CODES.items(), code_first=True))]
    for declaration in declared:
        callers = "For systems and agents." if declaration.for_agents else "For systems."
        enough = "" if declaration.needs_target else " The arguments may be enough to name the contact."
        given = declaration.arguments
        rows = []
        for name, one in given["properties"].items():
            need = "required" if name in given["required"] else ""
            rows.append((f"`{name}`", _type(one), need, one.get("description", "")))
            for member, inner in one.get("properties", {}).items():
                rows.append((f"`{name}.{member}`", _type(inner), "", inner.get("description", "")))
        codes = [
            (f"`{code}` ({STATUS_OF_CODE[code]})" if code in STATUS_OF_CODE else f"`{code}`", meaning)
            for code, meaning in declaration.codes.items()
        ]
        lines += ["", f"## {declaration.name}", "", declaration.description, "", callers + enough, ""]
        lines += [*_rows(("argument", "type", "", "meaning"), rows), ""]
        lines += [*_rows(("result", "is"), declaration.result.items(), code_first=True), ""]
        lines += _rows(("code", "means"), codes)
    return "\n".join(lines) + "\n"


def _type(declared: Mapping[str, Any]) -> str:
    if "enum" in declared:
        return "one of " + ", ".join(f"`{choice}`" for choice in declared["enum"])
    kind = str(declared.get("type", "as its event says"))
    if "format" in declared:
        return f"{kind} ({declared['format']})"
    return f"{kind}, at most {declared['maxLength']} characters" if "maxLength" in declared else kind


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, code_first: bool = False) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for first, *rest in rows:
        yield f"| {' | '.join([f'`{first}`' if code_first else first, *rest])} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(declarations(built_in_catalog())))
