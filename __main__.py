"""The stack: read its settings, choose the cloud, build the platform, export the contract."""

import pulumi
import pulumi.log

from components import clouds, stack_place, stack_readme
from components.platform import Platform
from config.model_check import refuse_unfit_models
from config.validation import config_of_running_stack

# The SDK sends each component's outputs to the engine as a debug message, secret ones in plain text. The engine
# writes it into the event log (`pulumi up --event-log`, which a recovery reads). So no debug message is sent.
pulumi.log.debug = lambda *_, **__: None

config = config_of_running_stack()
stack_place.refuse_another_place(config)
refuse_unfit_models(config.artifacts)
platform = Platform("triplane", config, clouds.load(config.cloud))

for name, value in platform.outputs.items():
    pulumi.export(name, value)
if stack_readme.is_on_pulumi_cloud():
    pulumi.export("readme", stack_readme.render(platform.outputs))
