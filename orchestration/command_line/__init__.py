"""The `quorum` command: each module of this package holds the commands of one subject."""

from orchestration.command_line.application import main

__all__ = ["main"]
