"""Virtual hosts that last longer than a test."""

import itertools

from tests.support.rabbitmq import RabbitMQServer

_numbers = itertools.count(1)


def lasting_amqp_url(rabbitmq: RabbitMQServer) -> str:
    """The URL of an empty virtual host for the rest of the run.

    `RabbitMQServer.fresh_vhost` cuts off whoever still uses the one of an earlier test: what several tests share
    needs one of its own making.
    """
    name = f"lasting-{next(_numbers)}"
    rabbitmq.control(
        "eval",
        f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
        f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
    )
    return rabbitmq.url(name)
