"""`ProjectImage`: an Astro project, built into an image and pushed."""

import hashlib

import pulumi
import pulumi_docker as docker

from astro_pulumi.args import ProjectImageArgs
from astro_pulumi.deployment_spec import DeploymentSpec, ImageSource, Registry
from astro_pulumi.errors import as_run_error
from astro_pulumi.naming import object_name
from astro_pulumi.project import build_secrets
from astro_pulumi.project.build_context import write_build_context
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


def deployed_image(spec: DeploymentSpec, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Return the image that pods run, by digest. Build and push it unless it is given."""
    if spec.source is None:
        return pulumi.Output.from_input(spec.image or "")
    name, opts = object_name(spec.name, "image"), pulumi.ResourceOptions(parent=parent)
    pushed = build_and_push(name, spec.source, opts).repo_digest
    pulled_from = spec.source.registry.pull_repository
    if pulled_from is None:
        return pushed
    digest = pushed.apply(lambda image: image.rpartition("@")[2])
    return pulumi.Output.format("{0}@{1}", pulled_from, digest)


def image_tag(source: ImageSource) -> str:
    """Return the tag of a project's image: 16 hex digits, equal for equal content and platform."""
    content = f"{source.project.content_hash} {source.platform}"
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def build_and_push(name: str, source: ImageSource, opts: pulumi.ResourceOptions) -> docker.Image:
    """Register the image of a project. Pods run its `repo_digest`.

    Findings about the project that do not stop the deploy are warnings.
    """
    for finding in source.project.findings:
        if finding.code != "AP207":  # which Airflow it is: asked for as an argument by now
            pulumi.log.warn(f"{source.project.directory / finding.place}: {finding.text}")
    return docker.Image(
        name,
        image_name=pulumi.Output.format("{0}:{1}", source.registry.repository, image_tag(source)),
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
