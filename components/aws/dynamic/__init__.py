"""Dynamic resources on AWS: what its Pulumi provider leaves out."""
