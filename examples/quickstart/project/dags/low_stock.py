"""What must be ordered again: classic operators, with `jq`, a Debian package of `packages.txt`."""

from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

STOCK = Path(__file__).parents[1] / "include" / "data" / "stock.json"

with DAG(dag_id="low_stock", schedule=None, tags=["shop"]):
    check = BashOperator(task_id="check_file", bash_command=f"jq --exit-status .warehouses {STOCK}")
    list_items = BashOperator(
        task_id="list_items",
        bash_command=(
            "jq --raw-output '.warehouses[] | .name as $warehouse | .items[] "
            '| select(.count < {{ params.minimum }}) | "\\($warehouse): \\(.count) x \\(.sku)"\' '
            f"{STOCK}"
        ),
        params={"minimum": 5},
    )
    check >> list_items
