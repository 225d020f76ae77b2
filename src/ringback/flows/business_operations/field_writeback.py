"""field_writeback: write fields of the contact that the catalogue allows, and forward them to the CRM."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.catalog import Catalog
from ringback.domain.contact import FieldsWrite
from ringback.flows.business_operations.action import (
    ActionDeclaration,
    ActionError,
    Reply,
    Scope,
    Subject,
    forward,
)
from ringback.flows.business_operations.arguments import (
    UnfitValue,
    arguments,
    read_value,
    refuse_if_any,
    schema_of,
    unknown_arguments,
)
from ringback.flows.business_operations.target import find_target
from ringback.storage import Part, UnitOfWork


def declare(catalog: Catalog) -> ActionDeclaration:
    fields = {
        "type": "object",
        "description": "The fields that the person told, and their values; leave out what was not said.",
        "properties": {name: schema_of(field) for name, field in catalog.fields.items()},
        "additionalProperties": False,
    }
    return ActionDeclaration(
        name="field_writeback",
        description="Keep what the person told about themselves, field by field, in the CRM.",
        arguments=arguments({"fields": fields}, "fields"),
        codes={
            "fields_written": "All of them are kept and on their way to the CRM.",
            "partly_written": "Some are; `result.rejected` says what the others have to be.",
            "nothing_written": "None is; `result.rejected` says what they have to be.",
            "nothing_given": "No field had a value: nothing was written, and there is nothing to ask.",
        },
        result={"written": "{field: value} of what is kept.", "rejected": "{field: why} of what is not."},
    )


NOTHING_GIVEN = Reply(True, "nothing_given", "Thank you.", {"written": {}, "rejected": {}})


@dataclass(frozen=True, slots=True)
class FieldWriteback:
    catalog: Catalog
    new_id: Callable[[], str]
    locks_every_phone: bool = False
    reads: Part | None = None
    find = staticmethod(find_target)

    @property
    def declaration(self) -> ActionDeclaration:
        return declare(self.catalog)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        if _nothing_given(args) and subject.request.scope is Scope.RETELL:
            return NOTHING_GIVEN
        written, rejected = self._sort_out(args)
        write = FieldsWrite(self.new_id(), subject.origin, written, now)
        await tx.contacts.write_fields(write)
        await forward(tx, "crm_fields", write.write_id, subject, {"fields": written}, now)
        return _reply("partly_written" if rejected else "fields_written", written, rejected)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        return NOTHING_GIVEN if _nothing_given(args) else _reply("rehearsed", *self._sort_out(args))

    def _sort_out(self, args: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Split the fields into valid values and reasons for the others. At least one value is valid."""
        errors = unknown_arguments(args, self.declaration.arguments)
        fields: Any = args.get("fields")
        if not isinstance(fields, dict) or not fields:
            errors["fields"] = f"must be an object with at least one of: {', '.join(self.catalog.fields)}"
        refuse_if_any(errors)
        written: dict[str, Any] = {}
        rejected: dict[str, str] = {}
        for name, value in fields.items():
            field = self.catalog.fields.get(name)
            if field is None:
                rejected[name] = f"unknown field; allowed: {', '.join(self.catalog.fields)}"
                continue
            try:
                written[name] = read_value(field, value)
            except UnfitValue as unfit:
                rejected[name] = str(unfit)
        if not written:
            say = "Sorry, I could not save that; could you tell me again?"
            if not _can_be_said_again(rejected):
                say = "Sorry, I cannot save that."
            raise ActionError("nothing_written", say, {"written": {}, "rejected": rejected})
        return written, rejected


def _nothing_given(args: Mapping[str, Any]) -> bool:
    """Whether an agent sent fields without any value."""
    return args.get("fields") == {}


def _reply(code: str, written: dict[str, Any], rejected: dict[str, str]) -> Reply:
    say = "Thank you, I have saved that."
    if _can_be_said_again(rejected):
        say = "I have saved part of that; could you tell me the rest again?"
    return Reply(True, code, say, {"written": written, "rejected": rejected})


def _can_be_said_again(rejected: Mapping[str, str]) -> bool:
    """Whether the person can help. A field that does not exist cannot be told again."""
    return any(not why.startswith("unknown") for why in rejected.values())
