"""HTTP events as API Gateway sends them to a Lambda, payload format 2.0."""

import base64
from collections.abc import Mapping
from typing import Any

PATH = "/retell/webhook"


def http_event(body: str | bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the event of a POST of Retell's webhook. Bytes travel as base64, as API Gateway does with other types.

    Several headers of one name are one here, joined by commas.
    """
    return {
        "version": "2.0",
        "routeKey": f"POST {PATH}",
        "rawPath": PATH,
        "rawQueryString": "",
        "headers": dict(headers),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "7e9e0392",
            "http": {"method": "POST", "path": PATH, "protocol": "HTTP/1.1", "sourceIp": "100.20.5.228"},
            "requestId": "CQ9_xgkOIAMEPmw=",
            "stage": "$default",
            "timeEpoch": 1760000000000,
        },
        "body": body if isinstance(body, str) else base64.b64encode(body).decode(),
        "isBase64Encoded": isinstance(body, bytes),
    }
