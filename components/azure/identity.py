"""Identities on Azure: a user-assigned managed identity, and a role assignment for each grant."""

from __future__ import annotations

import pulumi
from pulumi_azure_native import authorization, managedidentity

from components import contracts
from components.azure import roles
from components.azure.api_key import ApiKey
from components.azure.data_lake import DataLake
from components.azure.dynamic.grants_in_force import GrantsInForce
from components.azure.foundation import Foundation
from components.azure.image_registry import ImageRegistry
from components.azure.model_endpoint import ModelEndpoint


class Identity(contracts.Identity):
    """A managed identity whose roles are its grants, each on the narrowest scope there is."""

    client_id: pulumi.Output[str]
    """The id under which the identity requests a token; `principal` is the one that a service runs as."""

    def __init__(
        self, name: str, args: contracts.IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("triplane:azure:Identity", name, None, opts)
        foundation = Foundation.of(args.foundation)
        child = pulumi.ResourceOptions(parent=self)
        self.workload, self.label = args.workload, args.label or args.workload
        self._caller: authorization.RoleDefinition | None = None

        # Nothing here decides which service may run as the identity, as a trust policy does on AWS:
        # whoever may write a resource that names the identity decides it (Managed Identity Operator).
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_group_name=foundation.group.name,
            location=foundation.region,
            tags=foundation.tags,
            opts=child,
        )
        assignments = {
            grant: roles.assign(
                f"{name}-{_label(grant)}",
                principal=identity.principal_id,
                role=role,
                scope=scope,
                condition=_condition(grant),
                opts=child,
            )
            for grant in args.grants
            for role, scope in [self._role_and_scope(name, foundation, grant, child)]
        }
        self.attachments = [*assignments.values()]
        once = [each for grant, each in assignments.items() if _is_used_once(grant, args.workload)]
        if once:
            self.attachments.append(
                GrantsInForce(f"{name}-in-force", identity.principal_id, once, child)
            )

        self.principal = identity.id
        self.client_id = identity.client_id
        self.register_outputs({"principal": self.principal})

    def _role_and_scope(
        self,
        name: str,
        foundation: Foundation,
        grant: contracts.Grant,
        opts: pulumi.ResourceOptions,
    ) -> tuple[pulumi.Input[str], pulumi.Output[str]]:
        """The narrowest role for a grant, and the narrowest scope that takes it."""
        match grant.target, grant.access:
            case DataLake(containers=containers), contracts.Access.READ if grant.zone:
                return roles.built_in(foundation, "Storage Blob Data Reader"), containers[
                    grant.zone
                ].id
            case DataLake(containers=containers), contracts.Access.WRITE if grant.zone:
                role = roles.blob_creator(f"{name}-{_label(grant)}-role", foundation, opts)
                return role.id, containers[grant.zone].id
            case ImageRegistry(registry=registry), contracts.Access.PULL:
                return roles.built_in(foundation, "AcrPull"), registry.id
            case ModelEndpoint(endpoint=endpoint), contracts.Access.INVOKE:
                # One role for all endpoints: its id follows from the resource group.
                if self._caller is None:
                    self._caller = roles.endpoint_caller(f"{name}-invoke-role", foundation, opts)
                return self._caller.id, endpoint.id
            case ApiKey(secret=secret), contracts.Access.READ:
                return roles.built_in(foundation, "Key Vault Secrets User"), secret.id
        raise TypeError(f"Azure has no role for {grant.access} on {type(grant.target).__name__}")


def _label(grant: contracts.Grant) -> str:
    """A grant's part of a resource's name: ``read-models``, ``pull``, ``invoke``."""
    if isinstance(grant.target, ApiKey):
        return "read-key"
    if isinstance(grant.target, ModelEndpoint):
        return f"{grant.access}-{grant.target.label}"
    return f"{grant.access}-{grant.zone}" if grant.zone else str(grant.access)


def _is_used_once(grant: contracts.Grant, workload: contracts.Workload) -> bool:
    """Whether a service uses the grant before the workload's own code runs, and does not try again."""
    if isinstance(grant.target, ImageRegistry):
        return True
    return workload is contracts.Workload.SERVING and grant.zone is contracts.Zone.MODELS


def _condition(grant: contracts.Grant) -> str | None:
    """What narrows the grant to some folders of a zone, which is a container here. None: it is for all of the scope.

    One condition for all folders: of one principal, role and scope there is one assignment.
    """
    if not grant.prefixes:
        return None
    return roles.reading_condition([f"{prefix}/" for prefix in grant.prefixes], grant.files)
