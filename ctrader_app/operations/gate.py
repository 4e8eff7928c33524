"""What may stop an operation on our side before anything is sent."""

import logging
from dataclasses import dataclass

from django.utils.module_loading import import_string

from ctrader_app.conf import get_settings
from ctrader_app.domain.intents import Intent
from ctrader_app.domain.operations import RISK_REDUCING
from ctrader_app.models import Operation, TradingAccount

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why we do not send it. ``code`` starts with DENIED_ unless the venue itself said no to a read."""

    code: str
    message: str


def denial_of(operation: Operation, intent: Intent) -> Denial | None:
    """The first thing that stops this operation now, or None.

    Asked right before sending, so that a switch thrown while the operation was queued still stops it. Switches and
    checks stop opening only: closing, protecting and cancelling lower risk and stay possible.
    """
    stop = stop_of(operation)
    if stop is not None or intent.kind in RISK_REDUCING:
        return stop
    return _first_objection(get_settings().pre_trade_checks, operation.account, intent)


def stop_of(operation: Operation) -> Denial | None:
    """The switch that stops this operation now, or None."""
    if not get_settings().execution_enabled:
        return Denial("DENIED_EXECUTION_DISABLED", "CTRADER_EXECUTION_ENABLED is off: no write leaves this process")
    if operation.kind in RISK_REDUCING:
        return None
    if not operation.account.trading_enabled:
        return Denial("DENIED_ACCOUNT_STOPPED", "opening trades is stopped for this account")
    if operation.opening_stopped is not None:
        return Denial(
            "DENIED_OPENING_STOPPED", operation.opening_stopped or "opening trades is stopped for all accounts"
        )
    return None


def _first_objection(checks: tuple[str, ...], account: TradingAccount, intent: Intent) -> Denial | None:
    for path in checks:
        objection = _objection_of(path, account, intent)
        if objection is not None:
            logger.warning("pre-trade check %s denied %s: %s", path, intent.kind, objection)
            return Denial("DENIED_PRE_TRADE_CHECK", f"{path.rpartition('.')[2]}: {objection}"[:500])
    return None


def _objection_of(path: str, account: TradingAccount, intent: Intent) -> str | None:
    """A host's check may raise anything, sys.exit included, and all of it means no; so does False."""
    try:
        return "it returned False" if import_string(path)(account, intent) is False else None
    except (Exception, SystemExit) as objection:  # noqa: BLE001
        return _words_of(objection)


def _words_of(objection: BaseException) -> str:
    """What it says, as a database can keep it; its name when it cannot even be asked."""
    try:
        said = str(objection) or type(objection).__name__
    except Exception:  # noqa: BLE001 - the check is somebody else's code to its last line
        said = type(objection).__name__
    return said.encode(errors="replace").decode().replace("\x00", "\ufffd")
