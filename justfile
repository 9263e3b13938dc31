# The commands of this repository. `just` lists them.

# list the recipes
default:
    @just --list --unsorted

# start everything in one process on 127.0.0.1:9092, data in ./millrace-data
dev *args:
    cargo run --release -- dev {{args}}

# build the binary for production
build:
    cargo build --release --locked

# everything CI runs
test:
    scripts/test

# format, lints, licences, unit and integration tests
test-rust:
    scripts/test rust

# real Kafka clients against millrace on three stores
test-clients:
    scripts/test clients

# the tests of one crate: just unit control-plane
unit crate *args:
    cargo test -p {{crate}} {{args}}

# format all code
fmt:
    cargo fmt --all

# lints as CI has them
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# licences, bans and sources of dependencies
deny:
    cargo deny check licenses bans sources

# dashboard, alerts, compose file and chart against the code
docker-check:
    docker/check.py

# lint, render and validate the Helm chart (builds helm and kubeconform once)
helm-check:
    scripts/helm-check

# known vulnerabilities of dependencies (downloads their database)
advisories:
    cargo deny check advisories

# install the client suites into tests/.cache
clients-install:
    scripts/clients install

# all client suites against a broker that runs: just clients 127.0.0.1:9092
clients broker:
    scripts/clients run by-hand {{broker}}

# all client suites against Apache Kafka: validates the suites themselves
clients-peer:
    scripts/clients run-peer

# Apache Kafka on 127.0.0.1:9192, data in target/kafka-peer (to compare with)
peer-start:
    scripts/kafka-peer start target/kafka-peer 9192

# stop that Apache Kafka
peer-stop:
    scripts/kafka-peer stop target/kafka-peer

# an S3 server in memory that delays and fails on demand: just s3 --put-delay-ms 30
s3 *args:
    cargo run -p tests --bin s3-server -- {{args}}

# measure a broker: just bench --bootstrap 127.0.0.1:9092
bench *args:
    cargo run --release -- bench {{args}}

# the scenarios of bench on a cluster of its own: just scenarios OUT tail,fan-out
scenarios out *args:
    scripts/bench-scenarios {{out}} {{args}}

# fuzz one target of the object format for a minute
fuzz target:
    cd object-format && cargo +nightly fuzz run {{target}} -- -max_total_time=60
