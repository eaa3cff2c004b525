"""Azure: one module a service. Each has the rules of its resource types and the operations of its API.

What a workload calls is checked against the role assignments of its identity, as on Azure. Whoever runs
Pulumi is Owner of the subscription. `profile` has what is about the cloud as a whole.
"""
