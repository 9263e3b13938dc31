#!/usr/bin/env bash
# Apache Kafka's own command line tools, from the kafka-tools jar, run by class.
# Usage: tools.sh cases HOST:PORT   (JARS: where scripts/kafka-peer fetch has put the jars)
set -uo pipefail
bootstrap="$2"
run="${RUN:-}"
topic="tools$run"
failed=0
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

tool() {
  local class="$1"
  shift
  timeout 90 java -Xmx256m -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    -cp "$JARS/*" "org.apache.kafka.tools.$class" "$@"
}

# case NAME COMMAND...: runs it; its output is in $work/out.
case_() {
  local name="$1"
  shift
  if "$@" > "$work/out" 2> "$work/err"; then
    echo "ok $name"
  else
    failed=1
    echo "FAIL $name: $(tail -c 300 "$work/out" "$work/err" | tr '\n' ' ')"
    cat "$work/err" >&2
  fi
}

topic_create() {
  tool TopicCommand --bootstrap-server "$bootstrap" --create --topic "$topic" --partitions 3 \
    --config retention.ms=86400000
}
topic_list() { tool TopicCommand --bootstrap-server "$bootstrap" --list | grep -qx "$topic"; }
topic_describe() {
  tool TopicCommand --bootstrap-server "$bootstrap" --describe --topic "$topic" > "$work/d"
  cat "$work/d"
  grep -q "PartitionCount: 3.*retention.ms=86400000" "$work/d" && [ "$(grep -c 'Leader: [0-9]' "$work/d")" = 3 ]
}
topic_create_again() {
  ! tool TopicCommand --bootstrap-server "$bootstrap" --create --topic "$topic" &&
    grep -q 'already exists' "$work/out" "$work/err"
}
config_describe() {
  java -Xmx256m -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$JARS/*" kafka.admin.ConfigCommand \
    --bootstrap-server "$bootstrap" --describe --all --entity-type topics --entity-name "$topic" > "$work/c"
  grep -q 'retention.ms=86400000' "$work/c" && grep -q 'cleanup.policy=delete' "$work/c"
}
console_produce() {
  printf 'k%s\tv%s\n' 1 1 2 2 3 3 | tool ConsoleProducer --bootstrap-server "$bootstrap" --topic "$topic" \
    --property parse.key=true
}
console_consume() {
  tool consumer.ConsoleConsumer --bootstrap-server "$bootstrap" --topic "$topic" --from-beginning --max-messages 3 \
    --timeout-ms 60000 --property print.key=true | sort > "$work/lines"
  printf 'k%s\tv%s\n' 1 1 2 2 3 3 | diff - "$work/lines"
}
get_offsets() {
  tool GetOffsetShell --bootstrap-server "$bootstrap" --topic "$topic" > "$work/o"
  cat "$work/o"
  [ "$(awk -F: '{ sum += $3 } END { print sum }' "$work/o")" = 3 ]
}
producer_performance() {
  tool ProducerPerformance --topic "$topic-perf" --num-records 20000 --record-size 1000 --throughput -1 \
    --producer-props bootstrap.servers="$bootstrap" > "$work/p"
  cat "$work/p"
  grep -q '^20000 records sent' "$work/p"
}
consumer_performance() {
  tool ConsumerPerformance --bootstrap-server "$bootstrap" --topic "$topic-perf" --messages 20000 \
    --timeout 60000 --show-detailed-stats --hide-header > "$work/c"
  cat "$work/c"
  tool GetOffsetShell --bootstrap-server "$bootstrap" --topic "$topic-perf" | grep -q ':20000$'
}
topic_delete() {
  tool TopicCommand --bootstrap-server "$bootstrap" --delete --topic "$topic" &&
    ! tool TopicCommand --bootstrap-server "$bootstrap" --list | grep -qx "$topic"
}

case_ tools-topic-create topic_create
case_ tools-topic-list topic_list
case_ tools-topic-describe topic_describe
case_ tools-topic-create-again topic_create_again
case_ tools-config-describe config_describe
case_ tools-console-producer console_produce
case_ tools-console-consumer console_consume
case_ tools-get-offset-shell get_offsets
case_ tools-producer-performance producer_performance
case_ tools-consumer-performance consumer_performance
case_ tools-topic-delete topic_delete
exit "$failed"
