"""The public front door: validates a request, asks the model endpoint, keeps a capture in the lake.

`core` and `features` decide and do no I/O; `endpoints`, `lakes` and `keys` talk to the cloud;
`lambda_handler` and `asgi` host it. Only the clients of the chosen cloud are ever imported.
"""
