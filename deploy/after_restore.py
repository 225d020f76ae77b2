"""Cancel the calls that were dialed after a backup, in a database that was restored from it.

In the restored database these calls are due again. Retell's list of calls says which they are. Run it while dialing is
paused, with the Python of the installation:

    python after_restore.py --instance NAME --since 2026-11-29T12:00:00Z

`--since` is the time of the backup, or earlier. The environment has RINGBACK_URL, RINGBACK_API_KEY, RETELL_API_KEY and
RETELL_BASE_URL, if that is set for the processes. The exit code is 1 if a call could not be cancelled.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from retell import Retell

#: A look-up of such an attempt finds the call by itself, also in the restored database.
LOOKED_UP = ("dialing", "unknown")
PAGE = 1000


def calls_of_retell(retell: Retell, instance: str, since_ms: float) -> Iterator[dict[str, Any]]:
    """Yield the calls of the installation, the newest first, until a whole page is older."""
    criteria = {"metadata": [{"type": "string", "op": "eq", "key": "ringback_instance", "value": instance}]}
    query: dict[str, Any] = {"filter_criteria": criteria, "limit": PAGE}
    while True:
        page = json.loads(retell.call.with_raw_response.list(**query).read())
        # A call that is not answered yet has no start.
        fresh = [call for call in page["items"] if call.get("start_timestamp", since_ms) >= since_ms]
        yield from fresh
        if not page.get("has_more") or not fresh:
            return
        query["pagination_key"] = page["pagination_key"]


def ringback(method: str, path: str) -> Any:
    """Return the body of the response. None: there is no such call."""
    headers = {"Authorization": f"Bearer {os.environ['RINGBACK_API_KEY']}"}
    request = urllib.request.Request(os.environ["RINGBACK_URL"] + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        if refused.code != 404:
            raise
        return None


def cancel_if_forgotten(dialed: dict[str, Any]) -> str:
    """Cancel the call of Ringback if the restored database does not know that it was dialed. Return what was done."""
    metadata = dialed["metadata"]
    path = f"/v1/calls/{metadata['ringback_call_id']}"
    call = ringback("GET", path)
    if call is None:
        return "unknown here"
    known = [one for one in call["attempts"] if one["attempt_id"] == metadata["ringback_attempt_id"]]
    if call["final"] or any(one["provider_call_id"] or one["state"] in LOOKED_UP for one in known):
        return "nothing to do"
    result: str = ringback("POST", f"{path}/cancel")["result"]
    return result


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--instance", required=True, help="`SELECT instance FROM installation`")
    options.add_argument("--since", required=True, type=datetime.fromisoformat, help="a time with its zone")
    given = options.parse_args()
    if given.since.tzinfo is None:
        options.error("--since needs a zone, such as Z at its end")
    retell = Retell(api_key=os.environ["RETELL_API_KEY"], base_url=os.environ.get("RETELL_BASE_URL"))
    done: Counter[str] = Counter()
    for dialed in calls_of_retell(retell, given.instance, given.since.timestamp() * 1000):
        result = cancel_if_forgotten(dialed)
        done[result] += 1
        if result != "nothing to do":
            sys.stdout.write(f"{dialed['metadata']['ringback_call_id']}  {dialed['call_id']}  {result}\n")
    sys.stdout.write(", ".join(f"{count} {result}" for result, count in sorted(done.items())) + "\n")
    return 1 if done.keys() - {"cancelled", "unknown here", "nothing to do"} else 0


if __name__ == "__main__":
    sys.exit(main())
