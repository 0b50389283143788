# contsym in a container: torch for the CPU, MiniLM's weights inside, no network needed to run.
#
#     docker build -t contsym .
#     docker run --rm -v "$PWD:/runs" contsym run --strategy knn_fixed --scenario mnli_then_wikidata
#
# torch for the CPU comes from PyTorch's own index. With --build-arg TORCH_BACKEND= it comes from PyPI like all other
# packages, with CUDA's libraries (7 GB). For a GPU: --build-arg TORCH_BACKEND=cu128, and docker run --gpus all.
FROM python:3.11-slim AS build
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY . .
RUN uv venv /opt/contsym && uv pip install --python /opt/contsym --no-cache \
    ${TORCH_BACKEND:+--torch-backend="$TORCH_BACKEND"} --constraint constraints.txt '.[offline]'

FROM python:3.11-slim
COPY --from=build /opt/contsym /opt/contsym
# Whoever runs it with --user owns what it writes.
RUN mkdir -m 777 /runs /home/contsym
ENV PATH=/opt/contsym/bin:$PATH HOME=/home/contsym
WORKDIR /runs
# A short run, since whoever runs the image cannot keep what Python compiles: it compiles all that a run imports.
RUN HOME=/tmp/first contsym run --strategy knn_fixed --scenario mnli_then_wikidata --shots 16 --set steps=1 \
    --output /tmp/first/mlruns && rm -r /tmp/first
ENTRYPOINT ["contsym"]
CMD ["--help"]
