"""What the command line ends with, for scripts; `docs/command-line.md` lists it."""

#: Standard output was closed before all was printed (`quorum decisions | head -1`).
OUTPUT_CLOSED = 141
INTERRUPTED = 130
#: A fault in Quorum itself.
FAULT = 70
RECORD_DAMAGED = 7

EXIT_CODES = {
    0: "Done; what was asked is so.",
    1: "Done; the answer is no (`quorum status`: not everything is ready).",
    2: "The command line, a setting or a value in them is wrong; also an id that is not on record.",
    3: "Data is missing, or failed a blocking check; bad rows are in quarantine.",
    4: "The machine lacks something: a program, disk space, a writable folder, a free port.",
    5: "The record can't be read or written, or another writer was first.",
    6: "A model is missing, incomplete, altered or of a wrong shape.",
    RECORD_DAMAGED: "The record, or an export of it, does not pass its check.",
    8: "Another process took over a partition (services, not commands).",
    9: "Who asks is not known, or may not do this (`quorum review`).",
    FAULT: "A fault in Quorum; run the command again with `--debug` and report what it shows.",
    INTERRUPTED: "Ended by Ctrl-C; everything committed is kept.",
    OUTPUT_CLOSED: "The reader of the output went away before its end (such as `head`).",
    143: "Ended by SIGTERM; everything committed is kept.",
}
