"""DAG deploys with two of each process, two queues, a path, and PostgreSQL of the user's by PgBouncer."""

import pulumi

import astro_pulumi as astro
from tests.cluster.pod_sizes import export_outputs, larger, parser, service, small

config = pulumi.Config()
node_port = config.require_int("nodePort")
authority = config.require("authority")

airflow = astro.Deployment(
    "replicas",
    astro.DeploymentArgs(
        project="project",
        dag_deploys=True,
        log_retention_days=0,  # one container less in each pod
        registry=astro.RegistryArgs(repository=config.require("repository")),
        webserver=astro.ProcessArgs(replicas=2, resources=larger),
        scheduler={**small, "replicas": 2},
        triggerer=small,
        dag_processor={**parser, "replicas": 2},
        worker_queues=[
            astro.WorkerQueueArgs(
                name="default", concurrency=2, min_count=2, max_count=2, resources=larger
            ),
            astro.WorkerQueueArgs(
                name="heavy", concurrency=2, min_count=1, max_count=2, resources=larger
            ),
        ],
        environment={
            # A task whose worker was killed is tried again after half a minute. By default, after five.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        },
        database=astro.DatabaseArgs(
            host=config.require("databaseHost"),
            username="airflow",
            password=config.require_secret("databasePassword"),
            ssl_mode="verify-full",
            ca_certificate=authority,
        ),
        pgbouncer=astro.PgBouncerArgs(
            image=config.require("pgbouncerImage"),
            resources=astro.ResourcesArgs(
                requests={"cpu": "25m", "memory": "32Mi"}, limits={"cpu": "1", "memory": "64Mi"}
            ),
        ),
        broker=astro.BrokerArgs(
            image=config.require("brokerImage"), storage_size="1Gi", resources=service
        ),
        service=astro.ServiceArgs(
            type="NodePort",
            node_port=node_port,
            base_url=f"http://localhost:{node_port}/team",
        ),
        timeouts=astro.TimeoutArgs(rollout=config.require_int("rolloutTimeout")),
    ),
)
export_outputs(airflow)
