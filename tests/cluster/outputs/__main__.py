"""A Deployment with an Output of each kind as argument. They follow from two random resources.

Another `length` replaces both resources, so that a preview knows none of the values.
"""

from typing import Any

import pulumi
import pulumi_random as random

import astro_pulumi as astro
from tests.cluster.pod_sizes import larger, parser, service, small

config = pulumi.Config()
word = random.RandomString(
    "word", length=config.require_int("length"), special=False, upper=False, numeric=False
).result
secret = random.RandomPassword("secret", length=20, special=False, keepers={"word": word}).result
number = word.apply(len)
is_even = number.apply(lambda length: length % 2 == 0)


def either(even: Any, odd: Any) -> pulumi.Output[Any]:
    """Return one of two values, by the length of the random word."""
    return is_even.apply(lambda known: even if known else odd)


airflow = astro.Deployment(
    "outputs",
    astro.DeploymentArgs(
        project="project",
        log_retention_days=0,  # one container less in each pod
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(resources=larger),
        scheduler=small,
        triggerer=astro.ProcessArgs(
            resources=astro.ResourcesArgs(
                requests={"cpu": number.apply(lambda known: f"{20 + known}m"), "memory": "512Mi"},
                limits={"cpu": "1", "memory": "1Gi"},
            )
        ),
        dag_processor=parser,
        worker_queues=[astro.WorkerQueueArgs(name="default", concurrency=number, resources=larger)],
        environment={"WORD": word},
        secret_environment={"SECRET": secret},
        connections={"shop": astro.ConnectionArgs(type="http", host=word, password=secret)},
        variables={"word": word},
        auth=astro.AuthArgs(admin_password=secret),
        metrics=astro.MetricsArgs(statsd_host="127.0.0.1", prefix=word),
        placement=astro.PlacementArgs(
            tolerations=[
                astro.TolerationArgs(
                    key=word, operator="Exists", effect=either("NoSchedule", "NoExecute")
                )
            ]
        ),
        pod_template={
            "metadata": {"annotations": {"acme.test/word": word}},
            "spec": {"enableServiceLinks": is_even},
        },
        service_account_annotations={"acme.test/word": word},
        network_policies=astro.NetworkPolicyArgs(
            egress=[{"ports": [{"port": number.apply(lambda known: 8200 + known)}]}]
        ),
        database=astro.DatabaseArgs(
            image=config.require("databaseImage"), storage_size="1Gi", resources=service
        ),
        database_downgrade=either("allow", "refuse"),
        broker=astro.BrokerArgs(
            image=config.require("brokerImage"), storage_size="1Gi", resources=service
        ),
        service=astro.ServiceArgs(
            type="NodePort",
            node_port=config.require_int("nodePort"),
            annotations={"acme.test/word": word},
        ),
        ingress=astro.IngressArgs(
            host=pulumi.Output.concat(word, ".acme.test"),
            class_name="none",
            annotations={"acme.test/word": word},
        ),
    ),
)
pulumi.export("word", word)
pulumi.export("secret", secret)
for output in ("namespace", "release"):
    pulumi.export(output, getattr(airflow, output))
