# Builds the emulator and puts it into a small image that runs as an unprivileged user.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --uid 65532 --no-create-home emulator && install -d -o emulator -m 0700 /data
COPY --from=build /source/target/release/swr-emulator /usr/local/bin/swr-emulator
USER emulator
VOLUME /data
EXPOSE 7970
ENV SWR_EMULATOR_LISTEN=0.0.0.0:7970 SWR_EMULATOR_DATA_DIR=/data
HEALTHCHECK --interval=5s --timeout=6s --start-period=1s CMD ["swr-emulator", "healthcheck"]
ENTRYPOINT ["swr-emulator"]
