# A worker's image for Dataflow, or for the SDK worker pool beside each task manager of a Flink or Spark cluster.
# Build it at the root of the repository, for the Python and the Beam of the launching machine:
#   docker build -f examples/worker.Dockerfile -t REGISTRY/cardbeam:1 .
# With it a run needs no --setup_file: --sdk_container_image=REGISTRY/cardbeam:1 (Dataflow), or
# --environment_type=EXTERNAL --environment_config=localhost:50000 beside a pool started by `args: ["--worker_pool"]`.
# It holds no credential: workers read --credentials_uri, or get CARD_API_KEY and CARD_API_SECRET from their environment.
FROM apache/beam_python3.11_sdk:2.77.0

# Everything is here: without this each worker starts with a virtual environment of its own.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
# One heap for all threads and for Arrow, as run.sh sets it: less memory.
ENV MALLOC_ARENA_MAX=1 ARROW_DEFAULT_MEMORY_POOL=system

COPY setup.py pyproject.toml /cardbeam/
COPY schemas /cardbeam/schemas
COPY cardbeam /cardbeam/cardbeam
COPY transforms /cardbeam/transforms
COPY pipeline /cardbeam/pipeline
COPY endpoint /cardbeam/endpoint
RUN pip install --no-cache-dir "/cardbeam[aws,kafka]" && rm -r /cardbeam

# No right on the machine: Beam's boot program writes under /tmp alone.
USER 65532:65532
ENV HOME=/tmp
