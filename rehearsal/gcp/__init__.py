"""Google Cloud: one module a service. Each has the rules of its resource types and the methods of its API.

What a workload calls is checked against the bindings of its service account, as on Google Cloud. The
deployer may do everything. `profile` has what is about the cloud as a whole.
"""
