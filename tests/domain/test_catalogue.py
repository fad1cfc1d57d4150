"""The catalogue of message types: whoever decodes knows every type, whatever it has imported."""

import json
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import domain
from domain.catalogue import MODULES
from domain.messages import Message
from domain.refusals import Refusal

DECODE = """
import json, sys
from domain.errors import MessageRefused
from domain.messages import decode
reasons = {}
for name, version in json.load(sys.stdin).items():
    try:
        decode(json.dumps({"type": name, "schema_version": version}).encode())
    except MessageRefused as refused:
        reasons[name] = str(refused.reason)
json.dump(reasons, sys.stdout)
"""


def declared():
    """Return every message type that a module of the domain declares."""
    for found in iter_modules(domain.__path__, "domain."):
        for kind in vars(import_module(found.name)).values():
            own = isinstance(kind, type) and kind.__module__ == found.name
            if own and issubclass(kind, Message) and kind is not Message:
                yield kind


def test_it_holds_every_module_that_declares_a_message_type():
    assert {kind.__module__ for kind in declared()} == {module.__name__ for module in MODULES}


def test_a_process_that_imported_none_of_them_decodes_all():
    """Only a fresh interpreter shows it: here, other tests have imported every module."""
    versions = {kind.__name__: kind.VERSION for kind in declared()}
    run = subprocess.run(
        [sys.executable, "-c", DECODE],
        input=json.dumps(versions),
        capture_output=True,
        text=True,
        check=True,
    )
    reasons = json.loads(run.stdout)
    assert set(reasons) == set(versions)
    assert str(Refusal.UNKNOWN_TYPE) not in reasons.values()
