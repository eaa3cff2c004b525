"""What an account lacks for a stack, asked before anything is created: permissions, services, quotas, the region.

A module for each cloud has the checks. `plan` says what the stack needs, `checks` runs them, `report` writes the result.
"""
