import pytest
from starlette.requests import Request

from ringback.domain.access import KnownKey, Role
from ringback.domain.errors import StoreUnavailable
from ringback.web.auth import ApiKeys, hash_key, make_key, presented_key
from ringback.web.problems import Problem


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


class Known:
    """The database's side: which hashes it knows, and how often it was asked."""

    def __init__(self, *keys: str):
        self.hashes = {hash_key(key) for key in keys}
        self.asked = 0
        self.is_away = False

    async def __call__(self, key_hash: str) -> KnownKey | None:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return KnownKey("crm", Role.ADMIN) if key_hash in self.hashes else None


async def is_let_in(keys: ApiKeys, key: str) -> bool:
    try:
        await keys.require(request(x_api_key=key))
    except Problem as refused:
        return refused.status != 401
    return True


def test_a_made_key_is_long_random_and_known_by_its_prefix():
    assert make_key() != make_key()
    assert make_key().startswith("rbk_")
    assert len(make_key()) >= 47


def test_both_headers_are_read_and_authorization_first():
    assert presented_key(request(authorization="Bearer abc")) == "abc"
    assert presented_key(request(authorization="bearer  abc ")) == "abc"
    assert presented_key(request(x_api_key="def")) == "def"
    assert presented_key(request(authorization="Bearer abc", x_api_key="def")) == "abc"
    assert presented_key(request(authorization="Basic abc")) is None
    assert presented_key(request()) is None


async def test_a_known_key_is_remembered_for_a_moment_only():
    now = [100.0]
    known = Known("good")
    keys = ApiKeys(known, lambda: now[0], remember_s=30)
    assert await is_let_in(keys, "good")
    assert await is_let_in(keys, "good")
    assert known.asked == 1
    known.hashes.clear()
    now[0] += 31
    assert not await is_let_in(keys, "good")


async def test_an_unknown_key_is_asked_for_every_time():
    known = Known()
    keys = ApiKeys(known, lambda: 0.0)
    assert not await is_let_in(keys, "new")
    known.hashes.add(hash_key("new"))
    assert await is_let_in(keys, "new")


async def test_a_key_that_cannot_be_checked_is_not_called_wrong():
    known = Known("good")
    known.is_away = True
    with pytest.raises(StoreUnavailable):
        await is_let_in(ApiKeys(known, lambda: 0.0), "good")


async def test_a_key_in_any_bytes_is_merely_unknown():
    assert not await is_let_in(ApiKeys(Known(), lambda: 0.0), "käse\xff")
