"""Stand-ins for the packages of clouds that `docs/recipes.md` uses, and that nothing else here needs.

They have the types, inputs and outputs of pulumi-aws 7.51, pulumi-eks 4.4 and pulumi-gcp 10.2, as far as the
recipes use them. A package that is installed is used itself.
"""

import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pulumi

_AUTHORIZATION: Final = "aws:ecr/getAuthorizationToken:getAuthorizationToken"
# By package and class: inputs, further outputs.
_RESOURCES: Final = {
    "aws": {
        "acm.Certificate": ("domain_name validation_method", "arn domain_validation_options"),
        "acm.CertificateValidation": ("certificate_arn validation_record_fqdns", ""),
        "ec2.SecurityGroup": ("vpc_id", ""),
        "ecr.Repository": ("", "registry_id repository_url"),
        "elasticache.ReplicationGroup": (
            "description node_type num_cache_clusters automatic_failover_enabled"
            " at_rest_encryption_enabled transit_encryption_enabled auth_token subnet_group_name"
            " security_group_ids",
            "port primary_endpoint_address",
        ),
        "elasticache.SubnetGroup": ("subnet_ids", "name"),
        "iam.Role": ("assume_role_policy", "arn name"),
        "iam.RolePolicy": ("role policy", ""),
        "rds.Instance": (
            "engine engine_version instance_class allocated_storage storage_encrypted multi_az db_name"
            " username password db_subnet_group_name vpc_security_group_ids final_snapshot_identifier",
            "address port",
        ),
        "rds.SubnetGroup": ("subnet_ids", "name"),
        "route53.Record": ("zone_id name type records ttl", "fqdn"),
        "route53.Zone": ("name", "zone_id"),
        "s3.Bucket": ("", "arn bucket"),
        "vpc.SecurityGroupIngressRule": (
            "security_group_id referenced_security_group_id ip_protocol from_port to_port",
            "",
        ),
    },
    "eks": {
        "Cluster": (
            "vpc_id private_subnet_ids instance_type desired_capacity min_size max_size"
            " create_oidc_provider",
            "kubeconfig_json node_security_group_id oidc_issuer oidc_provider_arn",
        ),
    },
    "gcp": {
        "serviceaccount.Account": ("account_id", "email member name"),
        "serviceaccount.IAMMember": ("service_account_id role member", ""),
        "storage.Bucket": ("location", "name"),
        "storage.BucketIAMMember": ("bucket role member", ""),
    },
}


@contextmanager
def cloud_packages() -> Iterator[None]:
    """Lets a program import the packages of clouds, whether or not they are installed."""
    made: dict[str, ModuleType] = {}
    for cloud, classes in _RESOURCES.items():
        if importlib.util.find_spec(f"pulumi_{cloud}") is None:
            made[f"pulumi_{cloud}"] = _package(cloud, classes)
    if "pulumi_aws" in made:
        made["pulumi_aws"].ecr.get_authorization_token_output = _authorization
    sys.modules.update(made)
    try:
        yield
    finally:
        for package in made:
            del sys.modules[package]


def _package(cloud: str, classes: dict[str, tuple[str, str]]) -> ModuleType:
    package = ModuleType(f"pulumi_{cloud}")
    for path, (inputs, outputs) in classes.items():
        module, _, class_name = path.rpartition(".")
        file = f"{module}/{class_name[0].lower()}{class_name[1:]}" if module else "index"
        token = f"{cloud}:{file}:{class_name}"
        if module and not hasattr(package, module):
            setattr(package, module, ModuleType(module))
        made = _resource_class(token, set(inputs.split()), set(outputs.split()))
        setattr(getattr(package, module) if module else package, class_name, made)
    return package


def _resource_class(token: str, inputs: set[str], outputs: set[str]) -> type[pulumi.CustomResource]:
    class Made(pulumi.CustomResource):
        def __init__(
            self, name_: str, opts: pulumi.ResourceOptions | None = None, **given: Any
        ) -> None:
            assert set(given) <= inputs, f"{token} has no input {set(given) - inputs}"
            super().__init__(token, name_, {**dict.fromkeys(outputs | inputs), **given}, opts)
            for output in outputs:
                setattr(self, output, getattr(self, output).apply(_objects))

        def translate_input_property(self, prop: str) -> str:
            return re.sub(r"_(\w)", lambda found: found[1].upper(), prop)

        def translate_output_property(self, prop: str) -> str:
            return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", prop)

    return Made


def _objects(value: Any) -> Any:
    """Mappings as objects with attributes, which the outputs of real packages are."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: _objects(item) for key, item in value.items()})
    if isinstance(value, list):
        return [_objects(item) for item in value]
    return value


def _authorization(registry_id: pulumi.Input[str]) -> pulumi.Output[Any]:
    answer = pulumi.runtime.invoke_output(_AUTHORIZATION, {"registryId": registry_id})
    return answer.apply(
        lambda found: SimpleNamespace(user_name=found["userName"], password=found["password"])
    )
