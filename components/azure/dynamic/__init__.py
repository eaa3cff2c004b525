"""Dynamic resources on Azure: what its Pulumi provider leaves out."""
