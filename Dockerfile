# contsym in a container: torch for the CPU, MiniLM's weights inside, no network needed to run.
#
#     docker build -t contsym .
#     docker run --rm -v "$PWD:/runs" contsym run --strategy knn_fixed --scenario mnli_then_wikidata
#
# For a GPU: docker build --build-arg TORCH_BACKEND=cu128 -t contsym . and docker run --gpus all.
FROM python:3.11-slim AS build
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY . .
RUN uv venv /opt/contsym && uv pip install --python /opt/contsym --no-cache --torch-backend="$TORCH_BACKEND" \
    --constraint constraints.txt '.[offline]'

FROM python:3.11-slim
COPY --from=build /opt/contsym /opt/contsym
# Whoever runs it with --user owns what it writes.
RUN mkdir -m 777 /runs /home/contsym
ENV PATH=/opt/contsym/bin:$PATH HOME=/home/contsym
WORKDIR /runs
ENTRYPOINT ["contsym"]
CMD ["--help"]
