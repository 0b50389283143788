"""Files whose labels are numbers, with and without the names of their classes."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

OTHER_ORDER = ["entailment", "contradiction", "neutral"]
CARD = """---
dataset_info:
  features:
  - name: premise
    dtype: string
  - name: label
    dtype:
      class_label:
        names:
          '0': entailment
          '1': contradiction
          '2': neutral
---
# A dataset
"""


def columns(labels, part=""):
    """Pairs with these labels; pairs of different parts differ."""
    n = len(labels)
    return {
        "premise": [f"it rains {part}{i}" for i in range(n)],
        "hypothesis": [f"it pours {part}{i}" for i in range(n)],
        "label": labels,
    }


def parquet(path, labels, names=None, others=None):
    """A file as `datasets` writes it: with class names in the schema's metadata."""
    table = pa.table(columns(labels, path.stem))
    if names:
        features = {**(others or {}), "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
