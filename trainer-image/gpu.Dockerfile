# The trainer with both halves of libtorch and NVIDIA's libraries, staged by hack/images.sh trainer-gpu. The driver comes from the node.
FROM scratch
COPY system/ /
COPY libtorch-cuda/ /
COPY libtorch/ /
COPY app/ /
USER 65532:65532
# Where NVIDIA's container toolkit puts the driver on Debian-like and other nodes; an image from scratch has no ld.so cache that names it.
ENV PATH=/usr/local/bin HOME=/tmp OMP_WAIT_POLICY=passive \
    LD_LIBRARY_PATH=/usr/local/lib:/usr/lib/x86_64-linux-gnu:/usr/lib64 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["/usr/local/bin/fl-alliance-trainer"]
