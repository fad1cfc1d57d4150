"""Controls that ask which software speaks: one version everywhere, and no flag it doesn't know."""

from decimal import Decimal

from domain.money import ZERO
from domain.orders import Denial, Order
from trading.controls.context import ControlContext, denied


def unknown_flag(order: Order, context: ControlContext) -> Denial | None:
    """Let out no order that carries a flag which this release does not know.

    A name that was retired is unknown for ever, so it can't be used again with another meaning.
    """
    if order.origin is None:
        return None
    for flag in order.origin.flags:
        if flag not in context.flags:
            reason = f"the flag {flag!r} of {order.origin.worker} is not known to this release"
            return denied("unknown_flag", reason, Decimal(1), ZERO)
    return None


def mixed_versions(order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out while two versions of the software take part in trading."""
    versions = set(context.versions)
    if order.origin is not None:
        versions.add(order.origin.software_version)
    if len(versions) > 1:
        reason = f"different versions take part: {', '.join(sorted(versions))}"
        return denied("mixed_versions", reason[:300], Decimal(len(versions)), Decimal(1))
    return None
