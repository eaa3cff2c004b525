"""The platform on Azure: one module a component, the same file names in each cloud package.

It imports nothing, so a fact about this cloud can be read without its SDK; `package` imports every component.
"""
