"""Every module that declares message types, imported: who reads a log knows all that it may hold.

A process imports only what it handles; `domain.messages.decode` comes here for the rest.
"""

from importlib import import_module

MODULES = tuple(
    import_module(f"domain.{name}")
    for name in (
        "breaker",
        "experience",
        "limits",
        "market",
        "orders",
        "portfolio",
        "reconciliation",
        "review",
        "rules",
        "voting",
    )
)
