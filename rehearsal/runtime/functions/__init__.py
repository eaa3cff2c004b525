"""AWS Lambda on a laptop: functions run as local processes under AWS's own runtime client.

Each process (Lambda's "execution environment") has `awslambdaric`, the client inside Lambda's Python
runtimes, and an HTTP server of its own here that plays the two APIs which Lambda offers it:
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (2018-06-01) and
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html (2020-01-01).

As on Lambda, a process handles one invocation at a time, is kept warm, is frozen from the moment the
runtime and its internal extensions have asked for the next event until there is one, and is killed
when an invocation exceeds its timeout. Not as on Lambda: the interpreter is the rehearsal's own, the
memory size is only recorded, and above `pool.PROCESSES` at a time invocations wait for a warm
process.

One module a concern, each resting on the next: the functions, the processes of one, one process.
"""
