"""The record on a real server and as an export: whatever is done to it is found, and placed."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.ledger import PostgresLedger
from adapters.ledger.reading import Record
from adapters.record_key import private_key
from consensus.audit import Audit, verify
from consensus.signatures import public_key_of
from consensus.tree_heads import SignedHead
from domain.chain import link
from domain.errors import MessageRefused, RecordDamaged
from domain.messages import encode
from domain.ports.ledger import GENESIS, Commit, Log
from domain.settings import Settings, load_settings
from orchestration.audit import audit_export, audit_record, export_log
from orchestration.command_line.application import run
from orchestration.jobs import sign_tree_heads
from orchestration.tree_heads import kept_heads, prove, prove_growth, sign_head
from tests.builders import tick

SIZE = 12
PLACES = [(Log.DECISIONS, 0), (Log.DECISIONS, 1), (Log.ORDERS, 0)]


def address(url: str) -> str:
    return url.replace("+psycopg", "", 1)


async def append(url: str, *numbers: int) -> None:
    """Append events with these numbers to every place."""
    ledger = PostgresLedger(url)
    for place, (log, partition) in enumerate(PLACES):
        lease = await ledger.acquire(log, partition)
        events = tuple(tick(1000 * place + number) for number in numbers)
        await ledger.commit(lease, Commit(expected_sequence=lease.sequence, events=events))
        await ledger.release(lease)
    await ledger.close()


@pytest.fixture
def record(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A ledger with two signed heads: at half of its events, and at all."""
    monkeypatch.setenv("QUORUM_LEDGER_URL", ledger_url)
    found = load_settings()
    asyncio.run(append(ledger_url, *range(SIZE // 2)))
    sign_head(found)
    asyncio.run(append(ledger_url, *range(SIZE // 2, SIZE)))
    sign_head(found)
    return found


class Forger:
    """A superuser at work on one partition, in a transaction that is never committed."""

    def __init__(self, connection: psycopg.Connection, log: str, partition: int) -> None:
        self._connection = connection
        self._place = {"log": log, "partition": partition}
        connection.execute("SET LOCAL session_replication_role = replica")

    def execute(self, statement: str, **values: object) -> None:
        self._connection.execute(statement, self._place | values)

    def tamper(self, kind: str, at: int) -> None:
        """Do one thing to event `at` (from 1), and leave the rest as it is."""
        here = "WHERE log = %(log)s AND partition = %(partition)s AND sequence"
        match kind:
            case "changed":
                self.execute(f"UPDATE ledger.events SET data = data || ' ' {here} = %(at)s", at=at)
            case "hash changed":
                changed = "hash = set_byte(hash, 0, 255 - get_byte(hash, 0))"
                self.execute(f"UPDATE ledger.events SET {changed} {here} = %(at)s", at=at)
            case "deleted":
                self.execute(f"DELETE FROM ledger.events {here} = %(at)s", at=at)
            case "reordered":
                swapped = f"UPDATE ledger.events SET sequence = %(at)s * 2 + 1 - sequence {here}"
                statement = f"{swapped} IN (%(at)s, %(at)s + 1)"
                drop = "ALTER TABLE ledger.events_{} DROP CONSTRAINT events_{}_pkey"
                for part in ("decisions", "orders"):
                    self.execute(drop.format(part, part))
                self.execute(statement, at=at)
            case "inserted":
                self.execute(
                    "INSERT INTO ledger.events SELECT log, partition, sequence, 'forged',"
                    " occurred_at, data, hash, recorded_at + interval '1 month'"
                    f" FROM ledger.events {here} = %(at)s",
                    at=at,
                )
            case "truncated":
                self.execute(f"DELETE FROM ledger.events {here} > %(at)s - 1", at=at)
                self.set_head(at - 1)

    def forge(self, kind: str, at: int) -> None:
        """Do one thing to event `at`, and carry it through to the log's end and its head."""
        rows = self._connection.execute(
            "SELECT data FROM ledger.events WHERE log = %(log)s AND partition = %(partition)s"
            " ORDER BY sequence",
            self._place,
        ).fetchall()
        data = [row[0] for row in rows]
        forged, place = encode(tick(777)), at - 1
        match kind:
            case "changed" | "hash changed":
                data[place] = forged
            case "deleted":
                del data[place]
            case "reordered":
                data[place : place + 2] = data[place : place + 2][::-1]
            case "inserted":
                data.insert(place, forged)
            case "truncated":
                del data[place:]
        self.execute("DELETE FROM ledger.events WHERE log = %(log)s AND partition = %(partition)s")
        digest = GENESIS
        for sequence, entry in enumerate(data, 1):
            digest = link(digest, entry)
            self.execute(
                "INSERT INTO ledger.events (log, partition, sequence, message_id, occurred_at,"
                " data, hash) VALUES (%(log)s, %(partition)s, %(n)s, %(n)s, now(), %(d)s, %(h)s)",
                n=sequence,
                d=entry,
                h=digest,
            )
        self.set_head(len(data))

    def set_head(self, sequence: int) -> None:
        self.execute(
            "UPDATE ledger.heads SET sequence = %(n)s, hash = coalesce((SELECT hash FROM"
            " ledger.events AS e WHERE e.log = %(log)s AND e.partition = %(partition)s"
            " AND e.sequence = %(n)s), %(genesis)s)"
            " WHERE log = %(log)s AND partition = %(partition)s",
            n=sequence,
            genesis=GENESIS,
        )


@pytest.fixture
def forgery(record: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(address(record.ledger_url.get_secret_value())) as connection:
        yield connection
        connection.rollback()


def audited(connection: psycopg.Connection, heads: list[SignedHead]) -> Audit:
    found = Record(connection)
    known = [tree for head in heads for tree in head.statement.trees]
    return verify(found.entries(), known, ends=found.heads(), anchors=found.anchors())


KINDS = ("changed", "hash changed", "deleted", "reordered", "inserted", "truncated")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    place=st.sampled_from(PLACES),
    at=st.integers(1, SIZE - 1),
    carried=st.booleans(),
)
@example(kind="truncated", place=PLACES[0], at=1, carried=False)
@example(kind="deleted", place=PLACES[1], at=1, carried=True)
def test_tampering_by_a_superuser_is_found_and_placed(
    record: Settings,
    forgery: psycopg.Connection,
    kind: str,
    place: tuple[str, int],
    at: int,
    *,
    carried: bool,
):
    heads = kept_heads(record.home / "tree-heads")
    forger = Forger(forgery, *place)
    try:
        (forger.forge if carried else forger.tamper)(kind, at)
        [finding] = audited(forgery, heads).findings
    finally:
        forgery.rollback()
    assert (finding.log, finding.partition) == place
    if carried:
        vouched = SIZE // 2 if at > SIZE // 2 else 0
        assert vouched < finding.sequence <= SIZE
    else:
        assert finding.sequence in (at, at + 1 if kind == "inserted" else at)


def test_a_forged_head_and_a_forged_event_behind_it_are_found(
    record: Settings, forgery: psycopg.Connection
):
    heads = kept_heads(record.home / "tree-heads")
    forgery.execute("UPDATE ledger.heads SET sequence = sequence + 1 WHERE log = 'orders'")
    [finding] = audited(forgery, heads).findings
    assert (finding.log, finding.sequence, finding.fault) == ("orders", SIZE + 1, "truncated")
    forgery.rollback()
    # What the service's own privileges allow: one more event, which no head covers.
    forgery.execute(
        "INSERT INTO ledger.events SELECT log, partition, sequence + 1, 'forged', occurred_at,"
        " data, hash FROM ledger.events WHERE log = 'orders' AND sequence = %s",
        (SIZE,),
    )
    [finding] = audited(forgery, heads).findings
    assert (finding.log, finding.sequence, finding.fault) == ("orders", SIZE + 1, "inserted")


def test_a_whole_forged_log_is_found(record: Settings, forgery: psycopg.Connection):
    forgery.execute(
        "INSERT INTO ledger.events SELECT 'shadow', partition, sequence, 'forged' || sequence,"
        " occurred_at, data, hash FROM ledger.events WHERE log = 'orders'"
    )
    [finding] = audited(forgery, []).findings
    assert (finding.log, finding.sequence) == ("shadow", 1)


def test_an_untouched_record_is_sound(record: Settings):
    audits = audit_record(record)
    assert {log: (a.sound, a.events, a.known) for log, a in audits.items()} == {
        "decisions": (True, 2 * SIZE, 4),
        "orders": (True, SIZE, 2),
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(data=st.data())
def test_tampering_with_an_exports_bytes_is_found(
    record: Settings, tmp_path: Path, data: st.DataObject
):
    file = tmp_path / "decisions.jsonl"
    if not file.exists():
        assert export_log(record, Log.DECISIONS, file) == 2 * SIZE
    key = public_key_of(private_key(record.home))
    whole = file.read_bytes()
    assert audit_export(file, key).sound
    lines = whole.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 2), label="line")
    kind = data.draw(st.sampled_from(["bit", "deleted", "reordered", "inserted", "cut"]))
    match kind:
        case "bit":
            place = data.draw(st.integers(0, len(whole) - 1), label="byte")
            flipped = whole[place] ^ 1 << data.draw(st.integers(0, 7), label="bit")
            tampered = whole[:place] + bytes([flipped]) + whole[place + 1 :]
        case "deleted":
            tampered = b"".join([*lines[:at], *lines[at + 1 :]])
        case "reordered":
            tampered = b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]])
        case "inserted":
            tampered = b"".join([*lines[: at + 1], lines[at], *lines[at + 1 :]])
        case _:
            tampered = whole[: data.draw(st.integers(0, len(whole) - 1), label="end")]
    file.write_bytes(tampered)
    try:
        assert not audit_export(file, key).sound
    except MessageRefused:
        pass
    finally:
        file.write_bytes(whole)


def test_what_stands_beside_an_export_is_signed(record: Settings, tmp_path: Path):
    file = tmp_path / "orders.jsonl"
    export_log(record, Log.ORDERS, file)
    beside = tmp_path / "orders.jsonl.head.json"
    with pytest.raises(RecordDamaged, match="not signed by that key"):
        audit_export(file, bytes(32))
    beside.write_text(beside.read_text().replace('"sequence":12', '"sequence":11'))
    with pytest.raises(RecordDamaged, match="not signed by that key"):
        audit_export(file, public_key_of(private_key(record.home)))
    beside.unlink()
    with pytest.raises(RecordDamaged, match="can't be read"):
        audit_export(file, public_key_of(private_key(record.home)))
    assert audit_export(file, None).sound


def test_a_head_is_signed_only_when_there_is_something_new(record: Settings, ledger_url: str):
    last = sign_head(record)
    assert last.statement.number == 2
    asyncio.run(append(ledger_url, SIZE))
    assert sign_head(record).statement.number == 3


def test_nothing_is_signed_that_does_not_go_on_from_the_last_head(record: Settings):
    with psycopg.connect(address(record.ledger_url.get_secret_value())) as connection:
        Forger(connection, "orders", 0).tamper("truncated", 9)
    with pytest.raises(RecordDamaged, match="orders/0 was 12 events long"):
        sign_head(record)
    assert len(kept_heads(record.home / "tree-heads")) == 2


def test_a_kept_head_that_is_missing_or_changed_is_found(record: Settings, capsys):
    folder = record.home / "tree-heads"
    first, second = sorted(folder.glob("head-*.json"))
    whole = first.read_bytes()
    first.unlink()
    assert run(["audit", "verify"]) == 7
    assert "heads before number 2 are gone" in capsys.readouterr().err
    first.write_bytes(whole.replace(b'"sequence":6', b'"sequence":5', 1))
    assert run(["audit", "verify"]) == 7
    assert "head 1 is not signed" in capsys.readouterr().err
    first.write_bytes(whole)
    second.write_bytes(b"{")
    assert run(["audit", "verify"]) == 7
    assert "is no signed head" in capsys.readouterr().err


def test_proofs_go_by_file_and_are_checked_with_the_public_key_alone(
    record: Settings, tmp_path: Path, capsys, monkeypatch
):
    proof, growth, key = (str(tmp_path / name) for name in ("p.json", "g.json", "k.pem"))
    decision = tick(3).message_id
    assert run(["audit", "prove", decision, "--output", proof]) == 0
    assert run(["audit", "prove-growth", "1", "--output", growth]) == 0
    assert run(["audit", "key", "--output", key]) == 0
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("QUORUM_HOME", str(elsewhere))
    monkeypatch.delenv("QUORUM_LEDGER_URL")
    for file in (proof, growth):
        assert run(["audit", "check-proof", file, "--key", key]) == 0
    assert not elsewhere.exists()
    capsys.readouterr()
    assert run(["audit", "check-proof", proof]) == 7  # another state folder's key
    assert "not signed by that key" in capsys.readouterr().err
    text = Path(proof).read_text()
    Path(proof).write_text(text.replace('"sequence":4', '"sequence":5', 1))
    assert run(["audit", "check-proof", proof, "--key", key, "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["holds"] is False
    Path(growth).write_text("{}")
    assert run(["audit", "check-proof", growth, "--key", key]) == 2


def test_there_is_no_proof_of_what_no_head_covers(record: Settings, ledger_url: str, capsys):
    asyncio.run(append(ledger_url, SIZE))
    assert run(["audit", "prove", tick(SIZE).message_id]) == 2
    assert "quorum audit sign" in capsys.readouterr().err
    assert run(["audit", "prove", "nothing"]) == 2
    assert run(["audit", "prove-growth", "9"]) == 2
    sign_head(record)
    assert prove(record, tick(SIZE).message_id).sequence == SIZE + 1
    assert len(prove_growth(record, 1).growths) == len(PLACES)


def test_the_hourly_job_signs_a_head(record: Settings, ledger_url: str):
    asyncio.run(append(ledger_url, SIZE))
    outcome = sign_tree_heads.execute_in_process(resources={"settings": record})
    assert outcome.success
    assert len(kept_heads(record.home / "tree-heads")) == 3
