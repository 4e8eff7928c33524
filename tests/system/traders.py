"""Users with an account, made in the database that this process's Django is on."""

import itertools
import uuid

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

from ctrader_app.ledger.access import issue_token
from ctrader_app.models import OperationTransition, TradingAccount
from tests.system.client import Api

_numbers = itertools.count(1)


def new_user(*, password: str | None = None, is_staff: bool = False, is_superuser: bool = False) -> User:
    """A user that nobody had before."""
    name = f"user-{next(_numbers)}"
    user: User = get_user_model().objects.create_user(name, password=password)
    user.is_staff, user.is_superuser = is_staff, is_superuser
    user.save()
    return user


def new_trader(root: str, **account: str) -> Api:
    """A new user's new account, through the JSON API of the system at `root`."""
    user = new_user()
    row = TradingAccount.objects.create(user=user, name=f"account of {user.username}", **account)
    return Api(root, issue_token(user, "system test"), str(row.pk))


def steps_of(operation_id: str | uuid.UUID) -> list[str]:
    """The states that an operation went through; looking again at a doubt is no step."""
    states = OperationTransition.objects.filter(operation_id=operation_id).values_list("to_state", flat=True)
    return [state for state, _ in itertools.groupby(states)]
