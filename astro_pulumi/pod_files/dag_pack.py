"""Pack `dags/` of this image for the release Job: an init container of the image with the DAGs runs it.

Usage: dag_pack.py TARGET
"""

from __future__ import annotations

import sys
from pathlib import Path

import astro_dags

if __name__ == "__main__":
    folder = astro_dags.airflow_home() / astro_dags.DAGS
    _, content = astro_dags.pack(folder)
    Path(sys.argv[1]).write_bytes(content)
    print(f"packed {folder}: {len(content)} bytes", flush=True)
