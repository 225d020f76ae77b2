"""The schemas and examples of ABT events in the package, and their places in a document for receivers.

`python -m ringback.web.event_reference docs/engage.md` writes the schemas' files and fills the document's places.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ringback.web.event_models import EVENT_MODELS, REASONS, Analysis, EventData, event_schema

SCHEMAS = Path(str(files("ringback"))) / "schemas" / "abt"
#: Streams of one call each, in order. A test records them from the real flows.
EXAMPLES = SCHEMAS / "examples"

#: A comment names what follows it, up to the next blank line or the end of a block of code.
_PLACE = re.compile(
    r"(?<=<!-- )(example|members|reasons)(?: (\w+)(?: (\d+))?)?(?= -->\n)( -->\n)(.*?)(?=<!-- end -->)", re.S
)


def read_examples() -> dict[str, list[dict[str, Any]]]:
    """Every example by its name: the events of one call, in order."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(EXAMPLES.glob("*.json"))}


def schema_text(name: str) -> str:
    """The content of a schema's file."""
    return json.dumps(event_schema(name), indent=2, ensure_ascii=False) + "\n"


def fill(document: str) -> str:
    """Fill every place of the document. A filled one is filled anew."""
    examples = read_examples()

    def filled(place: re.Match[str]) -> str:
        kind, name, number = place.group(1, 2, 3)
        if kind == "example":
            lines = list(_code(json.dumps(examples[name][int(number) - 1], indent=2)))
        elif kind == "members":
            lines = list(_members(name))
        else:
            lines = []
            for reason, means in REASONS.items():
                data = examples[f"failed_{reason}"][-1]["data"]
                own = {key: data[key] for key in data if key == "attempt" or key not in EventData.model_fields}
                lines += [*([""] if lines else []), f"`{reason}`: {means}", "", *_code(json.dumps(own))]
        return "".join([place[0][: place.start(5) - place.start()], "\n", *(f"{line}\n" for line in lines), "\n"])

    return _PLACE.sub(filled, document)


def _code(text: str) -> Iterator[str]:
    yield from ("```json", text, "```")


def _members(name: str) -> Iterator[str]:
    """Members of `data`: those of every event (`all`), or those that this type adds; or the members of `analysis`."""
    model: type[BaseModel] = EventData if name == "all" else Analysis
    if name not in ("all", "analysis"):
        model = EVENT_MODELS[f"voice_ai_call_{name}"].__annotations__["data"]
    yield "| member | type | meaning |"
    yield "|---|---|---|"
    schema = model.model_json_schema()
    for member, declared in schema["properties"].items():
        if name != "all" and member in EventData.model_fields:
            continue
        absent = "" if member in schema["required"] else ", or absent"
        meaning = model.model_fields[member].description or ""
        yield f"| `{member}` | {_type(declared)}{absent} | {meaning.partition(chr(10))[0]} |"


def _type(declared: dict[str, Any]) -> str:
    if "anyOf" in declared:
        return " or ".join(_type(part) for part in declared["anyOf"])
    if "$ref" in declared:
        return "one of the reasons below" if declared["$ref"].endswith("FailReason") else "object"
    if "enum" in declared:
        return "one of " + ", ".join(f"`{choice}`" for choice in declared["enum"])
    if "const" in declared:
        return f"`{declared['const']}`"
    return "time" if declared.get("format") == "date-time" else str(declared["type"])


if __name__ == "__main__":
    for schema_name in EVENT_MODELS:
        (SCHEMAS / f"{schema_name}.json").write_text(schema_text(schema_name))
    target = Path(sys.argv[1])
    target.write_text(fill(target.read_text()))
