"""The public gateway: it validates a request, calls the model endpoint, and writes a capture to the lake.

`core` and `features` decide, without I/O. `endpoints`, `lakes` and `keys` call the cloud. `lambda_handler` and
`asgi` host the gateway. Only the clients of the chosen cloud are imported.
"""
