"""AWS: one module a service. Each has the rules of its resource types and the operations of its API.

What a workload calls is checked against the policies of its role, as on AWS. The deployer may do
everything. `profile` has what is about the cloud as a whole.
"""
