"""The desk's page: one document, its style and script within, that asks nobody but the desk."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route


def page_route() -> Route:
    """Return the route of the page, at the root."""
    page, policy = _page()
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": policy,
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }

    async def show(_: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    return Route("/", show)


def _page() -> tuple[str, str]:
    """Return the document, and the policy that lets run only what is written in it."""
    page, style, script = [
        files(__name__).joinpath(name).read_text("utf-8")
        for name in ("page.html", "page.css", "page.js")
    ]
    page = page.replace("<style></style>", f"<style>{style}</style>")
    page = page.replace("<script></script>", f"<script>{script}</script>")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return page, policy


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
