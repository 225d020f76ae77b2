"""The next page of an export is read while the last one is sent, and no page is read for a reader who left."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ringback.domain.exported_page import Page
from ringback.flows.exports import read_ahead


class Pages:
    """Pages of one row each, each as soon as the test has added it."""

    def __init__(self) -> None:
        self.asked_for = 0
        self.is_closed = False
        self._added: asyncio.Queue[Page | None] = asyncio.Queue()

    def add(self, row: int) -> None:
        self._added.put_nowait(Page(("row",), [(row,)]))

    async def read(self) -> AsyncIterator[Page]:
        try:
            while True:
                self.asked_for += 1
                page = await self._added.get()
                if page is None:
                    raise OSError("the connection is lost")
                yield page
        finally:
            self.is_closed = True

    def fail(self) -> None:
        self._added.put_nowait(None)


async def test_the_next_page_is_read_before_it_is_asked_for() -> None:
    pages = Pages()
    pages.add(1)
    reading = read_ahead(pages.read())
    assert (await anext(reading)).rows == [(1,)]
    await asyncio.sleep(0)
    assert pages.asked_for == 2
    pages.add(2)
    assert (await anext(reading)).rows == [(2,)]
    await reading.aclose()


async def test_a_reader_who_leaves_ends_the_reading_of_the_next_page() -> None:
    pages = Pages()
    pages.add(1)
    reading = read_ahead(pages.read())
    await anext(reading)
    await asyncio.sleep(0)
    await reading.aclose()
    assert pages.is_closed


async def test_a_failure_of_the_next_page_comes_after_the_page_before_it() -> None:
    pages = Pages()
    pages.add(1)
    pages.fail()
    reading = read_ahead(pages.read())
    assert (await anext(reading)).rows == [(1,)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="the connection is lost"):
        await anext(reading)
