import subprocess
import sys
from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from domain.identity import client_order_id, derive_id
from domain.streams import partition_of


def test_ids_are_the_same_in_another_process_and_hash_seed():
    code = (
        "from domain.identity import derive_id; from domain.streams import partition_of;"
        "print(derive_id('bar', 'AAPL', 1), partition_of('AAPL', 7))"
    )
    for seed in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert out.stdout.split() == [derive_id("bar", "AAPL", 1), str(partition_of("AAPL", 7))]


def test_parts_do_not_run_into_each_other():
    assert derive_id("a", "bc", "d") != derive_id("a", "b", "cd")
    assert client_order_id("d", 0) != client_order_id("d", 1)
    assert len(client_order_id("d")) == 38


@given(st.text(max_size=40), st.lists(st.one_of(st.text(max_size=40), st.integers()), max_size=3))
def test_it_is_version_5_of_the_rfc(kind, parts):
    namespace = UUID("6d1a2f0e-7f5c-5b3e-9a54-3c1d8f0b7e21")
    assert derive_id(kind, *parts) == str(uuid5(namespace, "\x1f".join((kind, *map(str, parts)))))
