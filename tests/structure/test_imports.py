"""The parts of the import rules that import-linter does not see; the others stand in `.importlinter`."""

import re
import subprocess
import sys
from configparser import ConfigParser

from ringback.domain.catalog import built_in_catalog
from ringback.flows.business_operations import declarations

from .tree import EMULATOR, PRODUCT, ROOT, imported_names, python_files, shown

#: What the domain must not do even with the standard library: wait, look at the clock, throw dice, touch the machine.
IMPURE = {"asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}


def outsiders(source: str, *, own: str) -> set[str]:
    names = {name for name in imported_names(source) if name != own and not name.startswith(f"{own}.")}
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names - IMPURE}


def test_the_domain_imports_the_standard_library_and_itself():
    files = python_files(PRODUCT / "domain")
    found = {shown(path): outsiders(path.read_text(), own="ringback.domain") for path in files}
    assert {name: names for name, names in found.items() if names} == {}


def test_what_is_no_standard_library_is_an_outsider():
    source = "import json, structlog\ndef f():\n    from time import time\n    from ringback.domain.call import Call\n"
    assert outsiders(source, own="ringback.domain") == {"structlog", "time"}


def test_the_queue_messages_need_the_standard_library_alone():
    assert outsiders((PRODUCT / "messages.py").read_text(), own="ringback.domain") == set()


def test_only_migrations_use_sqlalchemy():
    users = {shown(path) for path in python_files(PRODUCT, EMULATOR) if "sqlalchemy" in path.read_text().lower()}
    assert all(name.startswith("src/ringback/adapters/postgres/migrations/") for name in users)


def test_every_business_action_is_a_file_of_its_name_that_the_layer_contract_knows():
    rules = ConfigParser()
    rules.read(ROOT / ".importlinter")
    independent = re.findall(r"\w+", rules["importlinter:contract:actions"]["layers"].splitlines()[-1])
    actions = {one.name for one in declarations(built_in_catalog())}
    files = {path.stem for path in python_files(PRODUCT / "flows" / "business_operations")}
    assert len(actions) == 9
    assert actions == set(independent)
    assert actions <= files


def test_a_process_whose_queues_are_tables_does_not_load_amazons_sdk():
    code = "import sys, ringback.up.stack; print({'botocore', 'aiobotocore'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
