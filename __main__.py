"""The stack: read its settings, choose the cloud, build the platform, export the contract."""

import pulumi

import stack_config
from components import clouds, stack_readme
from components.platform import Platform

config = stack_config.load()
platform = Platform("triplane", config, clouds.load(config.cloud))

for name, value in platform.outputs.items():
    pulumi.export(name, value)
pulumi.export("readme", stack_readme.render(platform.outputs))
