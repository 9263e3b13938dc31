// franz-go against a broker: modes and contract in ../README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var bootstrap string

func newClient(options ...kgo.Opt) (*kgo.Client, error) {
	options = append([]kgo.Opt{kgo.SeedBrokers(bootstrap)}, options...)
	return kgo.NewClient(options...)
}

// withAdmin runs an action with an admin client and a deadline.
func withAdmin(action func(context.Context, *kadm.Client) error) error {
	cl, err := newClient()
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return action(ctx, kadm.NewClient(cl))
}

func create(topic string, count int32, configs map[string]*string) error {
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		_, err := admin.CreateTopic(ctx, count, -1, configs, topic)
		return err
	})
}

// produce sends records synchronously and returns their offsets.
func produce(records []*kgo.Record, options ...kgo.Opt) ([]int64, error) {
	options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	cl, err := newClient(options...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	results := cl.ProduceSync(ctx, records...)
	if err := results.FirstErr(); err != nil {
		return nil, err
	}
	offsets := make([]int64, 0, len(results))
	for _, result := range results {
		offsets = append(offsets, result.Record.Offset)
	}
	sort.Slice(offsets, func(i, j int) bool { return offsets[i] < offsets[j] })
	return offsets, nil
}

func numbered(topic string, count int) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Value: []byte(fmt.Sprint(i))}
	}
	return records
}

// poll reads until count records came.
func poll(cl *kgo.Client, count int) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := cl.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return records, errs[0].Err
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func at(topic string, partition int32, offset kgo.Offset) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: offset}})
}

func write(codec, topic string) error {
	if err := create(topic, partitions, forever()); err != nil {
		return err
	}
	var records []*kgo.Record
	for p := 0; p < partitions; p++ {
		for i := 0; i < recordsEach; i++ {
			r := contractRecord(p, i, "full")
			r.Topic = topic
			records = append(records, r)
		}
	}
	options := []kgo.Opt{
		kgo.ProducerBatchCompression(codecs[codec]),
		kgo.ProducerLinger(5 * time.Millisecond),
	}
	_, err := produce(records, options...)
	return err
}

func verify(topic string) error {
	start := kgo.NewOffset().AtStart()
	cl, err := newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {0: start, 1: start, 2: start},
	}))
	if err != nil {
		return err
	}
	defer cl.Close()
	records, err := poll(cl, partitions*recordsEach)
	if err != nil {
		return err
	}
	next := map[int32]int64{}
	for _, found := range records {
		if found.Offset != next[found.Partition] {
			return fmt.Errorf("offset %d instead of %d", found.Offset, next[found.Partition])
		}
		next[found.Partition]++
		if found.Offset >= recordsEach {
			return fmt.Errorf("more than was written: offset %d", found.Offset)
		}
		if err := compare(found); err != nil {
			return err
		}
	}
	return nil
}

func expect(wanted error, found error) error {
	if errors.Is(found, wanted) {
		return nil
	}
	return fmt.Errorf("%v instead of %v", found, wanted)
}

// forever keeps records with old timestamps from being deleted by retention.
func forever() map[string]*string { return map[string]*string{"retention.ms": text("-1")} }

func text(s string) *string { return &s }

func adminCreate() error {
	topic := named("cases")
	if err := create(topic, 4, map[string]*string{"retention.ms": text("86400000")}); err != nil {
		return err
	}
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		return eventually("four partitions in metadata", func() (bool, error) {
			topics, err := admin.ListTopics(ctx, topic)
			return err == nil && len(topics[topic].Partitions) == 4, err
		})
	})
}

func adminCreateRefused() error {
	if err := expect(kerr.TopicAlreadyExists, create(named("cases"), 1, nil)); err != nil {
		return err
	}
	unknown := map[string]*string{"no.such.config": text("1")}
	if err := expect(kerr.InvalidConfig, create(named("invalid"), 1, unknown)); err != nil {
		return err
	}
	if err := expect(kerr.InvalidTopicException, create("a b", 1, nil)); err != nil {
		return err
	}
	return expect(kerr.InvalidPartitions, create(named("zero"), 0, nil))
}

func adminValidateOnly() error {
	topic := named("validated")
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		responses, err := admin.ValidateCreateTopics(ctx, 3, 1, nil, topic)
		if err == nil {
			err = responses[topic].Err
		}
		if err != nil {
			return err
		}
		topics, err := admin.ListTopics(ctx)
		if err == nil && topics.Has(topic) {
			return errors.New("it was created")
		}
		return err
	})
}

func adminDescribeConfigs() error {
	topic := named("cases")
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		config, err := configs.On(topic, nil)
		if err != nil {
			return err
		}
		values := map[string]string{}
		for _, entry := range config.Configs {
			values[entry.Key] = entry.MaybeValue()
		}
		if values["retention.ms"] != "86400000" || values["cleanup.policy"] != "delete" {
			return fmt.Errorf("%v", values)
		}
		return nil
	})
}

func adminPartitionsAndDelete() error {
	topic := named("cases")
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		responses, err := admin.UpdatePartitions(ctx, 6, topic)
		if err == nil {
			err = responses.Error()
		}
		if err != nil {
			return err
		}
		err = eventually("six partitions", func() (bool, error) {
			topics, err := admin.ListTopics(ctx, topic)
			return err == nil && len(topics[topic].Partitions) == 6, err
		})
		if err != nil {
			return err
		}
		if _, err := admin.DeleteTopic(ctx, topic); err != nil {
			return err
		}
		err = eventually("the topic gone", func() (bool, error) {
			topics, err := admin.ListTopics(ctx)
			return err == nil && !topics.Has(topic), err
		})
		if err != nil {
			return err
		}
		_, err = admin.DeleteTopic(ctx, topic)
		return expect(kerr.UnknownTopicOrPartition, err)
	})
}

func acks() error {
	topic := named("acks")
	if err := create(topic, 1, nil); err != nil {
		return err
	}
	cl, err := newClient(at(topic, 0, kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		options := []kgo.Opt{kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite()}
		if _, err := produce(numbered(topic, 10), options...); err != nil {
			return err
		}
		found, err := poll(cl, 10)
		if err != nil {
			return err
		}
		for i, r := range found {
			if string(r.Value) != fmt.Sprint(i) {
				return fmt.Errorf("%q instead of %d", r.Value, i)
			}
		}
	}
	return nil
}

func idempotentOffsets() error {
	topic := named("idempotent")
	if err := create(topic, 1, nil); err != nil {
		return err
	}
	offsets, err := produce(numbered(topic, 1000), kgo.MaxBufferedRecords(50))
	for i, offset := range offsets {
		if int64(i) != offset {
			return fmt.Errorf("offset %d instead of %d", offset, i)
		}
	}
	return err
}

func offsets() error {
	topic := named("offsets")
	if err := create(topic, 1, forever()); err != nil {
		return err
	}
	for i := 0; i < 5; i++ {
		stamp := time.UnixMilli(int64(baseTimestamp + 1000*i))
		if _, err := produce([]*kgo.Record{{Topic: topic, Value: []byte("x"), Timestamp: stamp}}); err != nil {
			return err
		}
	}
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		// kadm answers with the end where Kafka says that there is no such offset.
		for milliseconds, wanted := range map[int64]int64{-1000: 0, 1500: 2, 4000: 4, 4001: 5} {
			listed, err := admin.ListOffsetsAfterMilli(ctx, baseTimestamp+milliseconds, topic)
			if err == nil {
				err = listed.Error()
			}
			if err != nil {
				return err
			}
			if found, _ := listed.Lookup(topic, 0); found.Offset != wanted {
				return fmt.Errorf("+%d ms: %d instead of %d", milliseconds, found.Offset, wanted)
			}
		}
		starts, err := admin.ListStartOffsets(ctx, topic)
		if err != nil {
			return err
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return err
		}
		start, _ := starts.Lookup(topic, 0)
		end, _ := ends.Lookup(topic, 0)
		if start.Offset != 0 || end.Offset != 5 {
			return fmt.Errorf("from %d to %d", start.Offset, end.Offset)
		}
		return nil
	})
}

func groupCommitAndResume() error {
	topic, group := named("group"), named("resumed")
	if err := create(topic, 1, nil); err != nil {
		return err
	}
	if _, err := produce(numbered(topic, 20)); err != nil {
		return err
	}
	for _, first := range []string{"0", "10"} {
		cl, err := newClient(
			kgo.ConsumerGroup(group),
			kgo.ConsumeTopics(topic),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(),
		)
		if err != nil {
			return err
		}
		found, err := poll(cl, 10)
		if err == nil && string(found[0].Value) != first {
			err = fmt.Errorf("starts at %q instead of %s", found[0].Value, first)
		}
		if err == nil {
			err = cl.CommitRecords(context.Background(), found[9])
		}
		cl.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func messageTooLarge() error {
	topic := named("large")
	if err := create(topic, 1, map[string]*string{"max.message.bytes": text("10000")}); err != nil {
		return err
	}
	random := make([]byte, 10_001)
	rand.New(rand.NewSource(1)).Read(random)
	if _, err := produce([]*kgo.Record{{Topic: topic, Value: random[:9000]}}); err != nil {
		return err
	}
	_, err := produce([]*kgo.Record{{Topic: topic, Value: random}})
	return expect(kerr.MessageTooLarge, err)
}

func offsetOutOfRange() error {
	topic := named("range")
	if err := create(topic, 1, nil); err != nil {
		return err
	}
	if _, err := produce(numbered(topic, 2)); err != nil {
		return err
	}
	strict, err := newClient(at(topic, 0, kgo.NewOffset().At(99)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer strict.Close()
	if _, err := poll(strict, 1); !errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("%v instead of OFFSET_OUT_OF_RANGE", err)
	}
	lenient, err := newClient(at(topic, 0, kgo.NewOffset().At(99)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer lenient.Close()
	found, err := poll(lenient, 1)
	if err == nil && string(found[0].Value) != "0" {
		err = fmt.Errorf("reset to %q", found[0].Value)
	}
	return err
}

func transactions() error {
	topic, group := named("txn"), named("txn-group")
	if err := create(topic, 1, nil); err != nil {
		return err
	}
	ctx := context.Background()
	cl, err := newClient(kgo.TransactionalID(topic), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer cl.Close()
	for round := 0; round < 6; round++ {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		if err := cl.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint(round))).FirstErr(); err != nil {
			return err
		}
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(round%2 == 0)); err != nil {
			return err
		}
	}
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, kgo.StringRecord("zombie")).FirstErr(); err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(bootstrap),
		kgo.TransactionalID(topic),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	out := named("txn-out")
	if err := create(out, 1, nil); err != nil {
		return err
	}
	var found []string
	for len(found) < 3 {
		fetches := session.PollFetches(ctx)
		if err := session.Begin(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found = append(found, string(r.Value))
			session.Produce(ctx, &kgo.Record{Topic: out, Value: r.Value}, nil)
		})
		if _, err := session.End(ctx, kgo.TryCommit); err != nil {
			return err
		}
	}
	if fmt.Sprint(found) != "[0 2 4]" {
		return fmt.Errorf("read %v", found)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err == nil {
		return errors.New("a fenced producer committed")
	}
	reader, err := newClient(at(out, 0, kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer reader.Close()
	if _, err := poll(reader, 3); err != nil {
		return err
	}
	return withAdmin(func(ctx context.Context, admin *kadm.Client) error {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		// The last record and two markers, of which the reader has seen as far as it has.
		if committed, _ := offsets.Lookup(topic, 0); committed.At < 9 {
			return fmt.Errorf("committed %d", committed.At)
		}
		return nil
	})
}

func main() {
	bootstrap = os.Args[2]
	var cases []suiteCase
	switch os.Args[1] {
	case "write":
		for codec := range codecs {
			topic := fmt.Sprintf("xc%s-%s-%s-full", run, client, codec)
			cases = append(cases, suiteCase{"write " + topic, func() error { return write(codec, topic) }})
		}
	case "verify":
		for _, topic := range os.Args[3:] {
			cases = append(cases, suiteCase{"verify " + topic, func() error { return verify(topic) }})
		}
	default:
		cases = []suiteCase{
			{"admin-create", adminCreate},
			{"admin-create-refused", adminCreateRefused},
			{"admin-validate-only", adminValidateOnly},
			{"admin-describe-configs", adminDescribeConfigs},
			{"admin-partitions-and-delete", adminPartitionsAndDelete},
			{"acks", acks},
			{"idempotent-offsets", idempotentOffsets},
			{"offsets", offsets},
			{"group-commit-and-resume", groupCommitAndResume},
			{"message-too-large", messageTooLarge},
			{"offset-out-of-range", offsetOutOfRange},
			{"transactions", transactions},
		}
	}
	os.Exit(runCases(cases))
}
