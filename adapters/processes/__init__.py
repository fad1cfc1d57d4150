"""Processes: started on record, supervised, found again, ended only if they are ours."""

from adapters.processes.supervisor import Supervisor, find_child
from adapters.processes.watched_process import ProcessSpec, ProcessState, ProcessStatus

__all__ = ["ProcessSpec", "ProcessState", "ProcessStatus", "Supervisor", "find_child"]
