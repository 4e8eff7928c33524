"""Our web server, as it is, for more sockets of one user than one may have.

``python -m benchmarks.stream.web PORT``, with the environment of the product.
"""

import sys

import uvicorn

from config.asgi import application
from ctrader_app.consumers.sockets import base

SOCKETS = 2_000
"""Five hundred browsers are many users; here they are one."""


def main(port: str) -> None:
    """Serve until killed."""
    base.SOCKETS_PER_USER = SOCKETS
    uvicorn.run(
        application, host="127.0.0.1", port=int(port), ws="websockets-sansio", ws_per_message_deflate=False,
        lifespan="off", log_level="warning",
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
