"""Dynamic resources on Google Cloud: what its Pulumi provider leaves out."""
