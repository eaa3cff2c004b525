"""``python -m gateway``: the gateway as a web server."""

from gateway import asgi

asgi.main()
