"""The platform on Google Cloud: one module a component, the same file names in each cloud package.

Imports nothing: whoever needs a fact of this cloud does not pay for its SDK (`package` imports all).
"""
