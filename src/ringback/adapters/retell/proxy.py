"""The proxy between this machine and Retell."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def environment_proxy(url: str) -> str | None:
    """Return the URL of the environment's proxy for this URL: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY.

    None: there is none, or NO_PROXY has the host. It is read once, because with `trust_env` aiohttp reads it for every
    request in a thread, and ~/.netrc in another. It refuses a request with a login of ~/.netrc beside the API key.
    """
    address, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(address.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
