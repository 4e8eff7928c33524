"""The ASGI application: HTTP to Django, WebSockets to Channels."""

import os
import warnings

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - what follows needs the app registry
from django.core.asgi import get_asgi_application  # noqa: E402

from ctrader_app.consumers.auth import SocketAuthMiddleware  # noqa: E402
from ctrader_app.consumers.routing import websocket_urlpatterns  # noqa: E402

# WhiteNoise hands Django plain files, and Django says of each process's first one that it reads it at once. The pages'
# files are small.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": SocketAuthMiddleware(URLRouter(websocket_urlpatterns)),
    }
)
