"""Object storage in memory that speaks as much of S3 as delta-rs and polars need."""

import hashlib
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape


class ObjectStorage:
    """A server in a process of its own: delta-rs holds Python's lock while it waits for answers."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdout=subprocess.PIPE, text=True
        )
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def options(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_CONDITIONAL_PUT": "etag",
        }


class _State:
    """Objects by path (``bucket/key``); a conditional PUT is decided under one lock."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    state = _State()
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    @property
    def _key(self) -> str:
        return unquote(urlparse(self.path).path).lstrip("/")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state, key = self.state, self._key
        with state.lock:
            taken = self.headers.get("If-None-Match") == "*" and key in state.objects
            if not taken:
                state.objects[key] = body
        self._answer(412 if taken else 200, b"", {"ETag": _etag(body)})

    def do_DELETE(self) -> None:
        self.state.objects.pop(self._key, None)
        self._answer(204)

    def do_POST(self) -> None:
        """Delete several objects."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        for key in re.findall(r"<Key>([^<]+)</Key>", body):
            self.state.objects.pop(f"{self._key.rstrip('/')}/{key}", None)
        self._answer(200, b"<DeleteResult></DeleteResult>")

    def do_HEAD(self) -> None:
        self._get(with_body=False)

    def do_GET(self) -> None:
        if "list-type" in urlparse(self.path).query:
            self._list()
        else:
            self._get(with_body=True)

    def _get(self, *, with_body: bool) -> None:
        body = self.state.objects.get(self._key)
        if body is None:
            self._answer(404)
            return
        headers = {"ETag": _etag(body)}
        status, part = 200, body
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first = int(asked[1]) if asked[1] else max(0, len(body) - int(asked[2]))
            after = min(int(asked[2]) + 1, len(body)) if asked[1] and asked[2] else len(body)
            status, part = 206, body[first:after]
            headers["Content-Range"] = f"bytes {first}-{after - 1}/{len(body)}"
        self._answer(status, part, headers, with_body=with_body)

    def _list(self) -> None:
        bucket = self._key.rstrip("/")
        asked = parse_qs(urlparse(self.path).query)
        prefix, after = asked.get("prefix", [""])[0], asked.get("start-after", [""])[0]
        delimiter = asked.get("delimiter", [""])[0]
        found, folders = [], set()
        for path in sorted(self.state.objects):
            key = path.removeprefix(f"{bucket}/")
            if key == path or not key.startswith(prefix) or key <= after:
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
                continue
            body = self.state.objects[path]
            found.append(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size>"
                f"<LastModified>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
                f"<ETag>{_etag(body)}</ETag></Contents>"
            )
        common = (f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders)
        text = (
            f"<ListBucketResult><Name>{bucket}</Name><KeyCount>{len(found)}</KeyCount>"
            f"<IsTruncated>false</IsTruncated>{''.join(found)}{''.join(common)}</ListBucketResult>"
        )
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        with_body: bool = True,
    ) -> None:
        self.send_response(status)
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
