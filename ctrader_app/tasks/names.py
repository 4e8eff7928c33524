"""Task names, explicit: a name implied by a module path orphans queued messages when a file moves."""

from ctrader_app.domain.operations import Kind

OPERATION_TASKS = {
    Kind.PLACE: "ctrader.place",
    Kind.CLOSE: "ctrader.close",
    Kind.MODIFY: "ctrader.modify",
    Kind.CANCEL: "ctrader.cancel",
}
SYNC = "ctrader.sync"
RESOLVE = "ctrader.resolve"
SWEEP = "ctrader.sweep"
SWEEP_LEASES = "ctrader.sweep_leases"
RENEW_PRODUCTION = "ctrader.renew_production"
PURGE = "ctrader.purge"
