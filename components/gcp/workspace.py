"""What Vertex AI's endpoints share: nothing."""

from __future__ import annotations

import pulumi

from components import contracts


class Workspace(contracts.Workspace):
    """Without a resource: each endpoint of Vertex AI exists for itself."""

    def __init__(
        self, name: str, args: contracts.WorkspaceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:gcp:Workspace", name, None, opts)
        self.register_outputs({})
