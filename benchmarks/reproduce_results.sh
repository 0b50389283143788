#!/usr/bin/env bash
# Makes the tables of docs/results.md on 64 pairs again, in float32 as they were: about two hours on two cores.
#   benchmarks/reproduce_results.sh ../shared/data
set -euo pipefail
data=${1:?the folder with mnli/ and asymmetricity/}
output=${2:-mlruns}
run() { contsym run --protocol sequential --precision fp32 --seeds 0,1,2 --output "$output" "$@"; }
for strategy in random_labels knn_fixed knn_learned fine_tune zero_shot; do
  run --strategy "$strategy" --scenario wikidata_only --wikidata "$data/asymmetricity" --shots 64
  run --strategy "$strategy" --scenario mnli_then_wikidata --mnli "$data/mnli" --mnli-size 1200 \
    --wikidata "$data/asymmetricity" --shots 64 --no-curve
  run --strategy "$strategy" --scenario wikidata_only --wikidata "$data/asymmetricity" --split relation \
    --shots 64 --no-curve
  run --strategy "$strategy" --scenario wikidata_only --split relation --shots 1024 --no-curve
done
python "$(dirname "$0")/results_tables.py" "$output"
