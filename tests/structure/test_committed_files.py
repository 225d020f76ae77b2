"""What no committed file may hold."""

import re
import tomllib

from .tree import ROOT, our_files, shown

# An address of a package index, or an option that would name one. The requirements are hashed, so any index will do.
INDEX = re.compile(
    r"https?://[^\s'\"]*(pypi\.org|pythonhosted\.org|/simple/?(?=[\s'\"]|$))|(?<!no-emit)-{1,2}(extra-)?index-url\b"
    r"|--find-links\b|^\s*\[\[(tool\.uv\.)?index\]\]",
    re.MULTILINE,
)
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u26ff\u2700-\u27bf]")


def texts():
    for path in our_files():
        try:
            yield shown(path), path.read_text()
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_package_index():
    own = shown(ROOT / "tests/structure/test_committed_files.py")
    assert [name for name, text in texts() if name != own and INDEX.search(text)] == []
    assert not (ROOT / "uv.lock").exists()  # it writes down where each package came from


def test_an_index_address_is_recognised():
    assert INDEX.search("https://pypi" + ".org/simple")
    assert INDEX.search("pip install --extra-index-url=http://10.0.0.1/simple x")
    assert not INDEX.search("uv pip compile --generate-hashes --no-emit-index-url")


def test_no_text_has_emoji():
    kinds = (".py", ".md", ".sql", ".toml", ".svg", ".in")
    # The tests' payloads may: people type them.
    found = [name for name, text in texts() if name.endswith(kinds) and EMOJI.search(text)]
    assert [name for name in found if not name.startswith("tests/")] == []


def test_every_dependency_is_pinned_for_production():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[\[><=]", each)[0] for each in needed}
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements/production.txt").read_text(), re.MULTILINE))
    assert names - pinned == set()
