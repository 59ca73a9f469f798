"""Raw arguments in, one `DeploymentSpec` out: everything is checked here, once, and named as the user did.

Each module reads the arguments of one subject. Its functions raise `ArgumentError` with the argument's path.
"""

from astro_pulumi.validation.deployment import specify
from astro_pulumi.validation.images import specify_image

__all__ = ["specify", "specify_image"]
