"""Every module that declares message types, imported: who reads a log knows all that it may hold.

A process imports only what it handles; `domain.messages.decode` comes here for the rest.
"""

from domain import (
    breaker,
    experience,
    limits,
    market,
    orders,
    portfolio,
    reconciliation,
    review,
    rules,
    voting,
)

MODULES = (
    breaker,
    experience,
    limits,
    market,
    orders,
    portfolio,
    reconciliation,
    review,
    rules,
    voting,
)
