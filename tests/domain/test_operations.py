"""The shown form of a URL."""

import pytest

from ringback.domain.operations import masked_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://engage.example/hooks", "https://engage.example/hooks"),
        ("https://user:pass@engage.example/h?token=t0k3n&a=1", "https://••••@engage.example/h?token=••••&a=••••"),
        ("https://t0k3n@engage.example", "https://••••@engage.example"),
        ("https://engage.example:8443/?t0k3n", "https://engage.example:8443/?t0k3n"),
        ("postgresql://ringback:pass@db:5432/ringback", "postgresql://ringback:••••@db:5432/ringback"),
        (
            "postgresql://ringback@/ringback?host=/tmp/s&port=5432",
            "postgresql://ringback@/ringback?host=/tmp/s&port=5432",
        ),
        (
            "postgresql://db/ringback?user=u&password=pass&sslpassword=other&sslmode=require",
            "postgresql://db/ringback?user=u&password=••••&sslpassword=••••&sslmode=require",
        ),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert masked_url(url) == shown
