"""Say why a request got no response, in words for an operator."""

import os

import aiohttp


def connection_fault(error: Exception) -> str:
    """Return the reason. It never quotes the request or the response."""
    match error:
        case TimeoutError():
            return "no response in time"
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return "no TLS connection; its certificate may be wrong"
        case aiohttp.ClientConnectorDNSError():
            return "the host has no address"
        case aiohttp.ClientConnectorError() if error.os_error.errno is not None:
            return f"no connection ({os.strerror(error.os_error.errno)})"
        case ValueError():
            return "the response cannot be read"
    return "the connection was lost"
