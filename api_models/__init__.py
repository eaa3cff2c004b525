"""The clouds' own request models, offline: what AWS, Google Cloud and Azure accept in a request.

A Pulumi resource is compared with the model of the request that its provider sends: names, types, required
members, lengths, ranges, patterns and enumerations, as far as the model states them. The models come from
the clouds' own packages: botocore, google-api-python-client, azure-mgmt.

- `resource`: the plain record of a resource, and of a plan.
- `matching`: what the three clouds share: names, patterns, findings.
- `aws`, `gcp`, `azure`: one module a cloud. Each has `NOT_COVERED`, `title`, `findings` and `problems`.
- `arm`: an Azure resource as the body of its request, and a plan as an ARM template.
- `sdk_type`, `compiler`: rules compiled of the models, for any type of the three SDKs. `aws_rules` and its siblings
  do it for a cloud.
- `rules`: the check of inputs against compiled rules, without the clouds' packages. The rehearsal has it at `Check`.

The package imports nothing of the platform. The policies and the rehearsal use it.
"""
