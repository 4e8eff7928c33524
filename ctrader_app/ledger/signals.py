"""What a host may listen to, to keep its own trades in step. All are sent after the commit of what they tell.

Each carries ``account`` (TradingAccount). A receiver that raises is logged and hinders nobody.
"""

from django.dispatch import Signal

operation_finished = Signal()
"""``operation``: an Operation that has reached a final state."""

position_opened = Signal()
"""``position``: a Position that the books did not have."""

position_changed = Signal()
"""``position``: a Position whose volume or protection changed."""

position_closed = Signal()
"""``position``: a Position that is no longer open."""
