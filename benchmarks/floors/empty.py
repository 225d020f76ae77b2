"""Floor of any action: a Starlette route that reads the body and answers {}, served as the product is."""

import argparse

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def post_empty(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    app = Starlette(routes=[Route("/empty", post_empty, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
