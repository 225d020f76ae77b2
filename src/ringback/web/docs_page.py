"""/docs: Swagger UI. Every file comes from this process, and a policy lets the page load nothing else."""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

#: Swagger UI styles its elements inline; scripts come from files alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
#: From the wheel of fastapi-offline.
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}

# Addresses are relative to /docs, so that they hold behind a prefix too.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1.0">
<title>Ringback</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
# Without the validator's badge, for which Swagger UI would send the document's address elsewhere.
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"""


def docs_routes() -> list[Route]:
    folder = files("fastapi_offline") / "static"

    async def page(request: Request) -> Response:
        return Response(_PAGE, headers=_HEADERS, media_type="text/html")

    async def start(request: Request) -> Response:
        return Response(_START, headers=_HEADERS, media_type="text/javascript")

    async def file(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return FileResponse(str(folder / name), headers=_HEADERS, media_type=_FILES[name])

    names = [Route(f"/docs/{name}", file) for name in _FILES]
    return [Route("/docs", page), Route("/docs/start.js", start), *names]
