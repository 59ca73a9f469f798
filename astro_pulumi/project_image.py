"""`ProjectImage`: an Astro project, built into an image and pushed."""

import hashlib
from dataclasses import replace

import pulumi
import pulumi_docker as docker

from astro_pulumi.args import ProjectImageArgs
from astro_pulumi.args.images import Registry
from astro_pulumi.deployment_spec import DeployedImages, DeploymentSpec, ImageSource
from astro_pulumi.errors import as_run_error
from astro_pulumi.naming import object_name
from astro_pulumi.project import build_secrets
from astro_pulumi.project.build_context import write_build_context
from astro_pulumi.project.dags import DAGS_DOCKERFILE, PODS_IMAGE
from astro_pulumi.pulumi_inputs import computed
from astro_pulumi.validation import specify_image


class ProjectImage(pulumi.ComponentResource):
    """Build an Astro project into an image and push it, for pipelines that build once and promote.

    The tag is derived from the project's content, so an unchanged project is neither built nor pushed again.
    """

    image: pulumi.Output[str]
    """Reference of the pushed image by digest: `ghcr.io/acme/analytics@sha256:...`."""

    tag: pulumi.Output[str]
    """Tag of the image: 16 hex digits made from the project's content."""

    def __init__(
        self, name: str, args: ProjectImageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the component and its image."""
        super().__init__("astro:index:ProjectImage", name, None, opts)
        with as_run_error():
            source = specify_image(args)
        built = build_and_push(f"{name}-image", source, pulumi.ResourceOptions(parent=self))
        self.image = built.repo_digest
        self.tag = pulumi.Output.from_input(image_tag(source))
        self.register_outputs({"image": self.image, "tag": self.tag})


def deployed_images(
    spec: DeploymentSpec, restored: str | None, parent: pulumi.Resource
) -> DeployedImages:
    """Return the images of the release. Build and push them unless they are given.

    Args:
        spec: The Deployment.
        restored: In a rollback to a release with DAG deploys, the image that its pods ran.
        parent: The Deployment.
    """
    if spec.source is None:
        full = pulumi.Output.from_input(spec.image or "")
        return DeployedImages(
            full, full if restored is None else pulumi.Output.from_input(restored)
        )
    name, opts = object_name(spec.name, "image"), pulumi.ResourceOptions(parent=parent)
    if not spec.dag_deploys:
        pushed = _pulled(spec.source, build_and_push(name, spec.source, opts).repo_digest)
        return DeployedImages(pushed, pushed)
    without_dags = replace(spec.source, project=spec.source.project.without_dags())
    pods = build_and_push(name, without_dags, opts).repo_digest
    full = _add_dags(object_name(spec.name, "dags-image"), spec.source, pods, opts).repo_digest
    return DeployedImages(_pulled(spec.source, full), _pulled(spec.source, pods))


def _pulled(source: ImageSource, pushed: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the reference by which the cluster pulls an image that was pushed."""
    pulled_from = source.registry.pull_repository
    if pulled_from is None:
        return pushed
    digest = pushed.apply(lambda image: image.rpartition("@")[2])
    return pulumi.Output.format("{0}@{1}", pulled_from, digest)


def image_tag(source: ImageSource, *more: str) -> str:
    """Return the tag of a project's image: 16 hex digits, equal for equal content and platform.

    Args:
        source: The project.
        more: What else the content depends on.
    """
    content = " ".join((source.project.content_hash, source.platform, *more))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _add_dags(
    name: str, source: ImageSource, pods: pulumi.Output[str], opts: pulumi.ResourceOptions
) -> docker.Image:
    """Register the image with the DAGs: one layer on top of the image that pods run."""
    return docker.Image(
        name,
        image_name=_named(source, image_tag(source, DAGS_DOCKERFILE)),
        build=docker.DockerBuildArgs(
            # All of the project: links in dags/ may lead out of it.
            context=write_build_context(source.project, DAGS_DOCKERFILE),
            platform=source.platform,
            args={PODS_IMAGE: pods},
        ),
        registry=_login(source.registry),
        opts=opts,
    )


def _named(source: ImageSource, tag: str) -> pulumi.Output[str]:
    return pulumi.Output.format("{0}:{1}", source.registry.repository, tag)


def build_and_push(name: str, source: ImageSource, opts: pulumi.ResourceOptions) -> docker.Image:
    """Register the image of a project. Pods run its `repo_digest`.

    Findings about the project that do not stop the deploy are warnings.
    """
    for finding in source.project.findings:
        if finding.code != "AP207":  # which Airflow it is: asked for as an argument by now
            pulumi.log.warn(f"{source.project.directory / finding.place}: {finding.text}")
    return docker.Image(
        name,
        image_name=_named(source, image_tag(source)),
        build=docker.DockerBuildArgs(
            context=write_build_context(source.project),
            platform=source.platform,
            args=_build_arguments(source),
        ),
        registry=_login(source.registry),
        opts=opts,
    )


def _build_arguments(source: ImageSource) -> dict[str, pulumi.Output[str]] | None:
    if not source.build_secrets:
        return None
    packed = computed(build_secrets.pack, source.build_secrets)
    return {build_secrets.CARRIER: pulumi.Output.secret(packed)}


def _login(registry: Registry) -> docker.RegistryArgs | None:
    if registry.username is None and registry.server is None:
        return None
    return docker.RegistryArgs(
        server=registry.server, username=registry.username, password=registry.password
    )
