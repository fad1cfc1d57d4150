"""The parts of InfluxDB 2's HTTP interface that the store uses, as recorded; no InfluxDB.

Written from InfluxDB 2.7's documentation (line protocol, annotated CSV, `pivot`, `last`, delete
predicates, buckets, tasks), because no server of it is packaged. It answers only queries of the
shape that the store sends, so it proves the store against this record, not against a server.
"""

import csv
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Self
from urllib.parse import parse_qs, urlparse

_ORGANIZATION = {"id": "00000000000000aa", "name": "quorum"}


class InfluxServer:
    """Points by (measurement, tags, nanoseconds); `failures` are statuses to answer first."""

    def __init__(self) -> None:
        self.points: dict[tuple, dict[str, object]] = {}
        self.buckets: dict[str, dict] = {}
        self.tasks: list[dict] = []
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.writes = 0
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"state": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, body: str) -> None:
        with self._lock:
            self.writes += 1
            for measurement, tags, fields, moment in map(parse_line, split_lines(body)):
                key = (measurement, tuple(sorted(tags.items())), moment)
                self.points.setdefault(key, {}).update(fields)

    def delete(self, start: str, stop: str, predicate: str) -> None:
        first, last = _nanoseconds(start), _nanoseconds(stop)
        wanted = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', predicate))
        measurement = wanted.pop("_measurement")
        with self._lock:
            for key in list(self.points):
                named, tags, moment = key
                matches = all(dict(tags).get(tag) == _text(v) for tag, v in wanted.items())
                if named == measurement and first <= moment <= last and matches:
                    del self.points[key]

    def query(self, flux: str) -> str:
        ((first, stop),) = re.findall(r"range\(start: (\S+Z), stop: (\S+Z)\)", flux)
        first, stop = _nanoseconds(first), _nanoseconds(stop)
        (measurement,) = re.findall(r'r\._measurement == "((?:[^"\\]|\\.)*)"', flux)
        symbols = [_text(s) for s in re.findall(r'r\.symbol == "((?:[^"\\]|\\.)*)"', flux)]
        if "=> false" in flux:
            return ""
        assert flux.rstrip().endswith("|> group()")
        with self._lock:
            found = [
                (dict(tags), moment, dict(fields))
                for (named, tags, moment), fields in sorted(self.points.items())
                if named == measurement
                and first <= moment < stop
                and (not symbols or dict(tags)["symbol"] in symbols)
            ]
        if "last()" in flux:
            found = sorted(found, key=lambda point: point[1])[-1:]
        return annotated(found)


class _Handler(BaseHTTPRequestHandler):
    state: InfluxServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        path = urlparse(self.path).path
        if self.state.failures:
            status, headers = self.state.failures.pop(0)
            self._answer(status, json.dumps({"code": "x", "message": "not now"}), headers)
            return
        match path:
            case "/api/v2/write":
                self.state.write(body)
                self._answer(204, "")
            case "/api/v2/query":
                self._answer(200, self.state.query(json.loads(body)["query"]))
            case "/api/v2/delete":
                asked = json.loads(body)
                self.state.delete(asked["start"], asked["stop"], asked["predicate"])
                self._answer(204, "")
            case "/api/v2/buckets":
                bucket = {**json.loads(body), "id": f"{len(self.state.buckets):016x}"}
                self.state.buckets[bucket["name"]] = bucket
                self._answer(201, json.dumps(bucket))
            case "/api/v2/tasks":
                task = json.loads(body)
                name = re.search(r'option task = \{name: "([^"]+)"', task["flux"])[1]
                task |= {"id": f"{len(self.state.tasks):016x}", "name": name, "orgID": "aa"}
                self.state.tasks.append(task)
                self._answer(201, json.dumps(task))
            case _:
                self._answer(404, "{}")

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bucket = self.state.buckets[body["name"]]
        bucket.update(body)
        self._answer(200, json.dumps(bucket))

    def do_GET(self) -> None:
        address = urlparse(self.path)
        asked = parse_qs(address.query)
        match address.path:
            case "/api/v2/buckets":
                named = [b for n, b in self.state.buckets.items() if n in asked.get("name", [n])]
                self._answer(200, json.dumps({"buckets": named}))
            case "/api/v2/orgs":
                self._answer(200, json.dumps({"orgs": [_ORGANIZATION]}))
            case "/api/v2/tasks":
                self._answer(200, json.dumps({"tasks": self.state.tasks}))
            case _:
                self._answer(404, "{}")

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        data = body.encode()
        self.send_response(status)
        kind = "text/csv" if body.startswith("#") else "application/json"
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)


def annotated(points: list[tuple[dict, int, dict]]) -> str:
    """Return points as annotated CSV, all in one table, as after `pivot` and `group`."""
    if not points:
        return ""
    columns: dict[str, str] = {"_time": "dateTime:RFC3339"}
    for tags, _, fields in points:
        columns |= dict.fromkeys(tags, "string")
        columns |= {name: _kind(value) for name, value in fields.items()}
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["#datatype", "string", "long", *columns.values()])
    writer.writerow(["#group", "false", "false", *("false" for _ in columns)])
    writer.writerow(["#default", "_result", "", *("" for _ in columns)])
    writer.writerow(["", "result", "table", *columns])
    for tags, moment, fields in points:
        row = {"_time": _rfc3339(moment), **tags, **{n: _shown(v) for n, v in fields.items()}}
        writer.writerow(["", "", "0", *(row.get(name, "") for name in columns)])
    return out.getvalue() + "\r\n"


def split_lines(body: str) -> list[str]:
    """Split line protocol at newlines outside of quoted texts."""
    return [line for line in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^\n"])+', body) if line]


def parse_line(line: str) -> tuple[str, dict[str, str], dict[str, object], int]:
    head, fields, moment = re.fullmatch(
        r'((?:[^ \\]|\\.)+) ((?:"(?:[^"\\]|\\.)*"|[^ "\\]|\\.)+) (-?\d+)', line, re.DOTALL
    ).groups()
    measurement, *tags = re.findall(r"(?:[^,\\]|\\.)+", head)
    pairs = [re.fullmatch(r"((?:[^=\\]|\\.)+)=((?:[^=\\]|\\.)+)", tag).groups() for tag in tags]
    values = re.findall(r'((?:[^=,\\]|\\.)+)=("(?:[^"\\]|\\.)*"|[^,]+)', fields, re.DOTALL)
    return (
        measurement,
        {_plain(name): _plain(value) for name, value in pairs},
        {_plain(name): _value(value) for name, value in values},
        int(moment),
    )


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _value(text: str) -> object:
    if text.startswith('"'):
        return _text(text[1:-1])
    if text.endswith("i"):
        return int(text[:-1])
    return {"true": True, "false": False}.get(text) if text in ("true", "false") else float(text)


def _text(escaped: str) -> str:
    return re.sub(r'\\(["\\$])', r"\1", escaped)


def _kind(value: object) -> str:
    kinds = {bool: "boolean", int: "long", float: "double", str: "string"}
    return kinds[type(value)]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (seconds.days * 86_400 + seconds.seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)


def _rfc3339(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    day = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
    return f"{day + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
