"""The measures see what they are asked about."""

import pytest

from .measures import is_headless, measures, once_used_private_functions, port_methods, texts


def test_a_private_function_that_is_used_once_is_counted():
    source = "def _a(): ...\ndef _b(): ...\ndef c():\n    _a()\n    _b()\n    _b()\n"
    assert once_used_private_functions(source) == (1, 3)


def test_docstrings_and_whole_comments_are_read():
    source = '"""One."""\n# two\n# three\nx = 1\n# four\n'
    assert list(texts(source)) == ["One.", "two three", "four"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Who may use an emulator.", True),
        ("What a call needs.", True),
        ("Ends the call, whatever comes.", True),
        ("Place a call.", False),
        ("The person who is called.", False),
    ],
)
def test_a_clause_without_a_noun_is_headless(text, expected):
    assert is_headless(text) == expected


def test_the_methods_of_each_protocol_are_counted():
    source = "class A(Protocol):\n    def f(self): ...\n    async def g(self): ...\nclass B: ...\n"
    assert port_methods(source) == {"A": 2}


def test_every_measure_has_a_value():
    assert all(measures().values())
