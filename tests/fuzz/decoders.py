"""Coverage-guided fuzzing: ``python -m tests.fuzz.decoders -max_total_time=300``.

What atheris finds it writes to ``crash-…`` in the present folder; give it that file to see again.
"""

import sys

import atheris

with atheris.instrument_imports(include=["domain", "consensus"]):
    from tests.fuzz.corpus import CHECKS, CORPUS, SECRET

from domain.seals import seal

_PLACES = 2


def one(data: bytes) -> None:
    """Check bytes as they are, behind a right seal, and in the middle of a valid message."""
    whole, spliced = data, data
    if len(data) > _PLACES:
        base = CORPUS[data[0] % len(CORPUS)]
        place = int.from_bytes(data[1:3], "little") % len(base)
        spliced = base[:place] + data[3:] + base[place + len(data) % 8 :]
    for check in CHECKS:
        for each in (whole, spliced, seal(spliced, SECRET)):
            check(each)


def main() -> None:
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
