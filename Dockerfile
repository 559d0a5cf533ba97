# The ordinary way to the images, where a registry can be reached; hack/images.sh makes the same two without one.
#
#   docker build --target operator -t registry.example.com/fl-alliance/operator:0.1.0 .
#   docker build --target trainer  -t registry.example.com/fl-alliance/trainer:0.1.0 .
#
# Then name them in the charts' `image` values and in FLClient `spec.trainer.image`. Pin both bases by digest where builds must repeat.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
# Same Debian as the build's, so that the C library is not older than what was linked.
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS source
WORKDIR /src
COPY . .

FROM source AS operator-build
# For instance --build-arg OPERATOR_FEATURES=aws-kms
ARG OPERATOR_FEATURES=
RUN cargo build --locked --profile image --bin fl-alliance-operator -p operator --features "${OPERATOR_FEATURES}"

FROM ${RUN_IMAGE} AS operator
COPY --from=operator-build /src/target/image/fl-alliance-operator /usr/local/bin/
USER 65532:65532
ENV PATH=/usr/local/bin HOME=/tmp
ENTRYPOINT ["/usr/local/bin/fl-alliance-operator"]

FROM source AS trainer-build
# hack/libtorch.sh takes the pinned CPU part of libtorch out of wheels.
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3 python3-pip && hack/libtorch.sh
RUN cargo build --locked --profile image --bin fl-alliance-trainer -p trainer-image

FROM ${RUN_IMAGE} AS trainer
COPY --from=trainer-build /src/.build/libtorch/lib/ /usr/local/lib/
COPY --from=trainer-build /src/.build/libtorch/licenses/ /usr/local/share/licenses/
COPY --from=trainer-build /src/target/image/fl-alliance-trainer /usr/local/bin/
USER 65532:65532
# Passive waiting: see trainer-image/Dockerfile.
ENV PATH=/usr/local/bin HOME=/tmp LD_LIBRARY_PATH=/usr/local/lib OMP_WAIT_POLICY=passive
ENTRYPOINT ["/usr/local/bin/fl-alliance-trainer"]

# docker build --target trainer-gpu: the same with libtorch's CUDA half (3 GB more); the node brings the driver.
FROM trainer-build AS trainer-gpu-build
RUN hack/libtorch-cuda.sh

FROM trainer AS trainer-gpu
COPY --from=trainer-gpu-build /src/.build/libtorch-cuda/lib/ /usr/local/lib/
COPY --from=trainer-gpu-build /src/.build/libtorch-cuda/licenses/ /usr/local/share/licenses/
ENV LD_LIBRARY_PATH=/usr/local/lib:/usr/lib/x86_64-linux-gnu:/usr/lib64 NVIDIA_DRIVER_CAPABILITIES=compute,utility
