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


def mixed_versions(_order: Order, context: ControlContext) -> Denial | None:
    """Let nothing out while two versions of the software, or of its settings, take part."""
    if len(context.versions) > 1:
        measured = Decimal(len(context.versions))
        reason = f"different versions take part: {'; '.join(sorted(context.versions))}"
        return denied("mixed_versions", reason[:300], measured, Decimal(1))
    return None


def other_version(order: Order, context: ControlContext) -> Denial | None:
    """Let out no order that another version made than those which take part."""
    if order.origin is None or not context.versions:
        return None
    version = order.origin.software_version
    if version not in context.versions:
        reason = f"{order.origin.worker} runs {version or 'what it does not say'}, nobody else does"
        return denied("other_version", reason[:300], Decimal(2), Decimal(1))
    return None
