// A group member on franz-go. The contract is in ../../churn/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type object = map[string]any

var out sync.Mutex

func now() float64 { return float64(time.Now().UnixMicro()) / 1000 }

func emit(event string, more object) {
	line := object{"t": now(), "e": event}
	for key, value := range more {
		line[key] = value
	}
	text, _ := json.Marshal(line)
	out.Lock()
	defer out.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

type member struct {
	topic string
	auto  bool
	lines chan string
	cl    *kgo.Client
}

func (m *member) moved(event string) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, cl *kgo.Client, topics map[string][]int32) {
		partitions := topics[m.topic]
		if partitions == nil {
			partitions = []int32{}
		}
		id, generation := cl.GroupMetadata()
		emit(event, object{"partitions": partitions, "member": id, "generation": generation})
	}
}

func (m *member) options(args map[string]string) []kgo.Opt {
	session, _ := strconv.Atoi(args["session_ms"])
	balancers := map[string]kgo.GroupBalancer{
		"range":              kgo.RangeBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(args["bootstrap"], ",")...),
		kgo.ClientID(args["name"]),
		kgo.ConsumerGroup(args["group"]),
		kgo.ConsumeTopics(m.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancers[args["protocol"]]),
		kgo.SessionTimeout(time.Duration(session) * time.Millisecond),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.RebalanceTimeout(20 * time.Second),
		kgo.MetadataMaxAge(time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.FetchMaxWait(250 * time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(m.moved("assigned")),
		kgo.OnPartitionsRevoked(m.moved("revoked")),
		kgo.OnPartitionsLost(m.moved("lost")),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
	}
	if instance := args["instance"]; instance != "" {
		options = append(options, kgo.InstanceID(instance))
	}
	if m.auto {
		// Marked after the record is printed: what is committed was processed.
		return append(options, kgo.AutoCommitMarks(), kgo.AutoCommitInterval(500*time.Millisecond))
	}
	return append(options, kgo.DisableAutoCommit())
}

func (m *member) commit(records []*kgo.Record, late bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := m.cl.CommitRecords(ctx, records...); err != nil {
		emit("commit_failed", object{"error": err.Error(), "late": late})
		return
	}
	offsets := object{}
	for _, r := range records {
		offsets[fmt.Sprint(r.Partition)] = r.Offset + 1
	}
	emit("committed", object{"offsets": offsets, "late": late})
}

func (m *member) lateCommit(line string) {
	var partition int32
	var offset int64
	if _, err := fmt.Sscanf(line, "stall %d %d", &partition, &offset); err != nil {
		panic(err)
	}
	emit("stalled", nil)
	if <-m.lines != "go" {
		panic("not go")
	}
	m.commit([]*kgo.Record{{Topic: m.topic, Partition: partition, Offset: offset - 1, LeaderEpoch: -1}}, true)
}

func (m *member) consume(ctx context.Context) {
	polling, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	fetches := m.cl.PollRecords(polling, 100)
	// Until then no partition is taken away: what was polled is processed and committed by its owner.
	defer m.cl.AllowRebalance()
	fetches.EachError(func(topic string, partition int32, err error) {
		if polling.Err() == nil {
			emit("error", object{"error": fmt.Sprintf("%s-%d: %v", topic, partition, err)})
		}
	})
	last := map[int32]*kgo.Record{}
	for _, r := range fetches.Records() {
		emit("record", object{"p": r.Partition, "o": r.Offset, "v": string(r.Value)})
		last[r.Partition] = r
	}
	records := make([]*kgo.Record, 0, len(last))
	for _, r := range last {
		records = append(records, r)
	}
	if m.auto {
		m.cl.MarkCommitRecords(records...)
	} else if len(records) > 0 {
		m.commit(records, false)
	}
}

func main() {
	args := map[string]string{}
	for _, argument := range os.Args[1:] {
		key, value, _ := strings.Cut(argument, "=")
		args[key] = value
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	emit("started", nil)
	m := &member{topic: args["topic"], auto: args["commit"] == "auto", lines: make(chan string, 10)}
	go func() {
		input := bufio.NewScanner(os.Stdin)
		for input.Scan() {
			m.lines <- input.Text()
		}
		// Whoever started it has gone, and would not end it.
		os.Exit(1)
	}()
	cl, err := kgo.NewClient(m.options(args)...)
	if err != nil {
		panic(err)
	}
	m.cl = cl
	for ctx.Err() == nil {
		select {
		case line := <-m.lines:
			m.lateCommit(line)
		default:
		}
		m.consume(ctx)
	}
	if m.auto {
		_ = cl.CommitMarkedOffsets(context.Background())
	}
	cl.CloseAllowingRebalance()
	emit("closed", nil)
}
