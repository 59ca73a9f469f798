"""Small pods for the test programs: old and new ones stand beside each other on two cores.

Airflow needs its CPU when it starts, and little after.
"""

import astro_pulumi as astro

_REQUESTS = {"cpu": "25m", "memory": "512Mi"}

small = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=_REQUESTS, limits={"cpu": "1", "memory": "1Gi"})
)
# The release Job, which parses the DAGs, has what the dag-processor has.
parser = astro.ProcessArgs(
    resources=astro.ResourcesArgs(requests=_REQUESTS, limits={"cpu": "2", "memory": "2Gi"})
)
larger = astro.ResourcesArgs(
    requests={"cpu": "25m", "memory": "750Mi"}, limits={"cpu": "1", "memory": "1500Mi"}
)
service = astro.ResourcesArgs(
    requests={"cpu": "25m", "memory": "256Mi"}, limits={"cpu": "2", "memory": "1Gi"}
)
