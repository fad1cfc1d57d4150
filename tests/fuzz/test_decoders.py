"""No bytes raise anything but a typed refusal, and nothing forged is let in."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.seals import seal
from tests.fuzz.corpus import CHECKS, CORPUS, MESSAGES, SECRET

ROOT = Path(__file__).parents[2]

HOSTILE = st.sampled_from(
    [
        *("NaN", "-Infinity", "1e9999", "-0", "9" * 400, "9" * 5000, "null", "true", '"NaN"'),
        *('"1e9999999"', '"sNaN"', '"-0"', '"1_0"', '"9999-12-31T23:59:59Z"', "[]", "{}"),
        *('"0001-01-01T00:00:00+10:00"', r'"\ud800"', r'"\u0000"', r'"\\u0000"', "[" * 2000),
        *('"' + "x" * 300 + '"', '{"a":"1","a":"2"}', '{"type":"Vote"}', "-1", "101", "1000001"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Bytes of a valid message with some replaced, taken out, put in or repeated."""
    data = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 20)))
        new = draw(st.one_of(st.binary(max_size=8), st.just(data[begin:end] * 2)))
        data = data[:begin] + new + data[end:]
    return data


@st.composite
def misshapen(draw: st.DrawFn) -> bytes:
    """A message with a field of a hostile value, missing, renamed or twice."""
    fields: dict[str, Any] = json.loads(draw(st.sampled_from(MESSAGES)))
    name = draw(st.sampled_from(sorted(fields)))
    text = {key: json.dumps(value, separators=(",", ":")) for key, value in fields.items()}
    parts = [f'"{key}":{value}' for key, value in text.items() if key != name]
    match draw(st.sampled_from(["value", "missing", "renamed", "twice"])):
        case "value":
            parts.append(f'"{name}":{draw(HOSTILE)}')
        case "renamed":
            parts.append(f"{draw(HOSTILE)}:{text[name]}")
        case "twice":
            parts += [f'"{name}":{draw(HOSTILE)}', f'"{name}":{text[name]}']
    data = ("{" + ",".join(draw(st.permutations(parts))) + "}").encode()
    return seal(data, SECRET) if draw(st.booleans()) else data


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=200), mutated(), misshapen()))
@example(b"")
@example(b"seal ")
@example(b"seal 00000000 0000000000000000000000\n")
@example(seal(b"[" * 100_000, SECRET))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_whatever_the_bytes(check, data: bytes):
    check(data)


@pytest.mark.parametrize("data", CORPUS)
def test_the_corpus_itself_holds(data: bytes):
    for check in CHECKS:
        check(data)


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel here")
def test_a_short_run_guided_by_coverage_finds_nothing(tmp_path: Path):
    options = ("-runs=2000", "-seed=7", "-max_len=2000", f"-artifact_prefix={tmp_path}/")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.decoders", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Done 2\d\d\d runs", done.stderr)
