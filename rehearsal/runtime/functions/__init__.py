"""AWS Lambda on a laptop: functions run as local processes under AWS's own runtime client.

Each process (Lambda's "execution environment") runs `awslambdaric`, the client in Lambda's Python runtimes.
For each process a local HTTP server plays the two APIs that Lambda offers:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (2018-06-01) and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html (2020-01-01).

As on Lambda, a process handles one invocation at a time and is kept warm. It is frozen while the runtime and
its internal extensions wait for the next event. It is killed when an invocation exceeds its timeout. Different
from Lambda: the interpreter is that of the rehearsal, the memory size is only recorded, and above
`pool.PROCESSES` at a time invocations wait for a warm process.

`registry` has the functions, `pool` the processes of one function, `sandbox` one process.
"""
