"""Build the webhook function's folder: `python -m deploy.aws.bundle build/webhook_lambda`.

It has the modules that the function imports and no library, because Lambda's Python runtime has botocore.
"""

import importlib
import shutil
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import ModuleType

FUNCTION = "ringback.services.webhook_lambda"
#: Imported at the first event, because it loads botocore.
IMPORTED_LATER = ("ringback.adapters.sqs.sender",)


def build(folder: Path) -> list[str]:
    """Write the folder anew. Returns the paths of its files, relative to it."""
    before = set(sys.modules)
    for name in (FUNCTION, *IMPORTED_LATER):
        importlib.import_module(name)
    mine = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "ringback"}
    if before & set(mine):
        raise RuntimeError("build the bundle in a process of its own: other modules of ringback are loaded here")
    shutil.rmtree(folder, ignore_errors=True)
    written = []
    for module in mine.values():
        source, target = source_of(module)
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / target)
        written.append(str(target))
    return sorted(written)


def source_of(module: ModuleType) -> tuple[Path, Path]:
    """Return the file of a module, and its path below the folder of the packages."""
    assert module.__file__ is not None, "packages without __init__.py are not used here"
    source = Path(module.__file__)
    parts = module.__name__.split(".")
    name = [*parts, "__init__.py"] if hasattr(module, "__path__") else [*parts[:-1], f"{parts[-1]}.py"]
    return source, Path(*name)


def zipped(folder: Path) -> bytes:
    """Return the folder as the archive that is uploaded. The same files give the same bytes."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipping:
        for path in sorted(one for one in folder.rglob("*.py")):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), date_time=(2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            zipping.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m deploy.aws.bundle FOLDER")
    folder = Path(sys.argv[1])
    written = build(folder)
    print(f"{folder}: {len(written)} modules, {len(zipped(folder)) / 1024:.1f} KiB zipped")  # noqa: T201


if __name__ == "__main__":
    main()
