"""The back office: what happened and why, and the few things that only a person may decide.

Everything the system writes is read-only here. A person with the change permission may switch trading off, settle a
doubt, replay or discard a dead letter and revoke a token; one with the view permission may only look.
"""

from ctrader_app.admin import access, accounts, books, operations, stream

__all__ = ["access", "accounts", "books", "operations", "stream"]
