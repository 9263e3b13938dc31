// The records of the contract (see ../README.md), and what runs cases.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	client        = "franz"
	partitions    = 3
	recordsEach   = 40
	baseTimestamp = 1_700_000_000_000
	within        = 60 * time.Second
)

var (
	run    = os.Getenv("RUN")
	codecs = map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
)

func named(purpose string) string { return client + "-" + purpose + run }

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

// contractRecord is record i of partition p; plain has no fixed timestamp and leaves it zero.
func contractRecord(p, i int, profile string) *kgo.Record {
	key := []byte(fmt.Sprintf("key-%d-%d", p, i))
	r := &kgo.Record{Partition: int32(p), Key: key}
	if profile == "plain" {
		if i%5 == 0 {
			r.Key = nil
		}
		if i%7 != 0 {
			r.Value = []byte(fmt.Sprintf("value-%d-%d", p, i))
		}
		return r
	}
	switch i % 5 {
	case 0:
		r.Key = nil
	case 1:
		r.Key = []byte{}
	case 4:
		r.Key = allBytes()
	}
	switch i % 7 {
	case 0:
	case 1:
		r.Value = []byte{}
	case 2:
		r.Value = make([]byte, 2000)
		for j := range r.Value {
			r.Value[j] = byte((31*p + 7*i + j) % 251)
		}
	default:
		r.Value = []byte(fmt.Sprintf("value-%d-%d-é", p, i))
	}
	if (profile == "keyed" || profile == "strict") && r.Key == nil && r.Value == nil {
		r.Key = key
	}
	switch i % 3 {
	case 1:
		r.Headers = []kgo.RecordHeader{
			{Key: "a", Value: []byte("1")},
			{Key: "a", Value: []byte("2")},
			{Key: "b", Value: []byte{}},
		}
		if profile != "nonull" && profile != "strict" {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "n"})
		}
	case 2:
		r.Headers = []kgo.RecordHeader{{Key: "h", Value: allBytes()}}
	}
	r.Timestamp = time.UnixMilli(int64(baseTimestamp + 1_000_000*p + 1000*i))
	return r
}

func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// compare says what differs from the contract, or nothing.
func compare(found *kgo.Record) error {
	profile := found.Topic[strings.LastIndex(found.Topic, "-")+1:]
	wanted := contractRecord(int(found.Partition), int(found.Offset), profile)
	at := fmt.Sprintf("%s/%d@%d", found.Topic, found.Partition, found.Offset)
	if !same(wanted.Key, found.Key) {
		return fmt.Errorf("%s key %q", at, found.Key)
	}
	if !same(wanted.Value, found.Value) {
		return fmt.Errorf("%s value %q", at, found.Value)
	}
	if !wanted.Timestamp.IsZero() && !wanted.Timestamp.Equal(found.Timestamp) {
		return fmt.Errorf("%s timestamp %v", at, found.Timestamp)
	}
	if len(wanted.Headers) != len(found.Headers) {
		return fmt.Errorf("%s headers %v", at, found.Headers)
	}
	for i, header := range wanted.Headers {
		if header.Key != found.Headers[i].Key || !same(header.Value, found.Headers[i].Value) {
			return fmt.Errorf("%s header %d %v", at, i, found.Headers[i])
		}
	}
	return nil
}

type suiteCase struct {
	name string
	run  func() error
}

// runCases prints a line for each case and returns the exit code.
func runCases(cases []suiteCase) int {
	code := 0
	for _, c := range cases {
		if err := c.run(); err != nil {
			code = 1
			fmt.Printf("FAIL %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok %s\n", c.name)
		}
	}
	return code
}

func eventually(what string, holds func() (bool, error)) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if ok, err := holds(); err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within 30 s: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
