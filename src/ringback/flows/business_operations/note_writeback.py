"""note_writeback: append a note to the contact, and forward it to the CRM."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.contact import Note
from ringback.flows.business_operations.action import ActionDeclaration, ActionError, Reply, Subject, forward
from ringback.flows.business_operations.arguments import NOT_NOTED_SAY, arguments, read_texts, text
from ringback.flows.business_operations.target import find_target
from ringback.storage import Part, UnitOfWork

DECLARATION = ActionDeclaration(
    name="note_writeback",
    description="Write a note about the person or the conversation into the CRM.",
    arguments=arguments({"note": text(5000, "The note, in plain sentences.")}, "note"),
    codes={"note_added": "It is kept and on its way to the CRM.", "empty_note": "There is no text in the note."},
    result={"note_id": "The note, which is also its idempotency key at the CRM."},
)


@dataclass(frozen=True, slots=True)
class NoteWriteback:
    new_id: Callable[[], str]
    locks_every_phone: bool = False
    reads: Part | None = None
    declaration: ActionDeclaration = DECLARATION
    find = staticmethod(find_target)

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        note = Note(self.new_id(), subject.origin, _text_of(args), now)
        await tx.contacts.add_note(note)
        fields = {"note": note.text, "author": subject.source}
        await forward(tx, "crm_note", note.note_id, subject, fields, now)
        return _reply("note_added", note.note_id)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        _text_of(args)
        return _reply("rehearsed", None)


def _text_of(args: Mapping[str, Any]) -> str:
    note = read_texts(args, DECLARATION.arguments).get("note")
    if note is None:
        raise ActionError("empty_note", NOT_NOTED_SAY)
    return note


def _reply(code: str, note_id: str | None) -> Reply:
    return Reply(True, code, "Thank you, I have noted that.", {"note_id": note_id})
