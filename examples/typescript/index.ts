import * as pulumi from "@pulumi/pulumi";
import * as astro from "@pulumi/astro";

const config = new pulumi.Config();

const analytics = new astro.Deployment("analytics", {
    project: "../quickstart/project",
    registry: { repository: config.require("repository") },
    workerQueues: [
        { name: "default", concurrency: 8 },
        { name: "heavy", concurrency: 1, resources: { limits: { memory: "4Gi" } } },
    ],
    environment: { AIRFLOW__CORE__PARALLELISM: "64" },
    secretEnvironment: { API_TOKEN: config.getSecret("apiToken") ?? "none" },
    database: { image: config.require("databaseImage") },
    broker: { image: config.require("brokerImage") },
});

export const url = analytics.webserverUrl;
export const release = analytics.release;
export const admin = analytics.adminUsername;
export const password = analytics.adminPassword;
