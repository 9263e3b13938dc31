//! The tools that speak the Kafka protocol, and `inspect`, which reads the bucket: what goes in by `produce` comes out by
//! `consume`, in every form and from every place, and is where `inspect` says.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tests::place::Place;
use tests::process::{Process, binary, command_of};
use tests::tool;

struct Tools {
    broker: Process,
    store: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Tools {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = command_of(&binary().unwrap());
        command
            .args(args)
            .args(["--bootstrap", &self.broker.bootstrap]);
        command
    }

    /// Runs a tool with this on its standard input.
    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        let child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// What a tool prints that succeeds.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args, b"");
        assert!(
            output.status.success(),
            "{args:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// What a tool complains about that fails.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args, b"");
        assert!(!output.status.success(), "{args:?}");
        text(&output.stderr)
    }

    fn produce(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.run(&[&["produce"], args].concat(), input);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Everything from `from` on.
    fn consume(&self, topic: &str, from: &str, more: &[&str]) -> String {
        let args = ["consume", topic, "--until-end", "--from", from];
        self.says(&[&args, more].concat())
    }

    fn inspect(&self, args: &[&str]) -> (bool, String) {
        let args = [&["inspect"], args, &["--store", &self.store]].concat();
        let args = tool::on_log(&args);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = tool::run(&args, &[]).unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), text(&said))
    }
}

async fn tools(place: &Place) -> Tools {
    Tools {
        broker: place.dev().start().await.unwrap(),
        store: place.url.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_listed_described_and_deleted() {
    let place = Place::folder().unwrap();
    let tools = tools(&place).await;
    let orders = ["topic", "create", "orders", "--partitions", "3"];
    let checked = [&orders[..], &["--validate-only"]].concat();
    tools.says(&checked);
    assert!(!tools.says(&["topic", "list"]).contains("orders"));
    let created = tools.says(&[&orders[..], &["--config", "retention.ms=1000"]].concat());
    assert!(
        created.contains("created orders with 3 partitions"),
        "{created}"
    );
    assert!(tools.fails(&orders).contains("already exists"));
    tools.says(&[&orders[..], &["--if-not-exists"]].concat());
    let refused = tools.fails(&["topic", "create", "x", "--config", "retention.mss=1"]);
    assert!(refused.contains("InvalidConfig"), "{refused}");
    let listed = tools.says(&["topic", "list"]);
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(words, ["TOPIC", "PARTITIONS", "orders", "3"]);
    let described = tools.says(&["topic", "describe", "orders"]);
    assert!(described.contains("retention.ms  1000"), "{described}");
    tools.says(&["topic", "delete", "orders"]);
    let gone = tools.fails(&["topic", "describe", "orders"]);
    assert!(gone.contains("UnknownTopicOrPartition"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_is_consumed_from_every_place_in_every_form() {
    let place = Place::folder().unwrap();
    let tools = tools(&place).await;
    tools.says(&["topic", "create", "t", "--partitions", "2"]);
    let form = ["--key-separator", ":", "--null", "NUL", "--partition", "1"];
    for (codec, n) in ["none", "gzip", "snappy", "lz4", "zstd"].iter().zip(0..) {
        let with = ["t", "--headers", "h=1,h=2", "--compression", codec];
        let said = tools.produce(
            &[&with[..], &form].concat(),
            format!("k{n}:{codec}\nk:NUL\n").as_bytes(),
        );
        assert!(said.starts_with("2 records acknowledged"), "{said}");
    }
    let values = tools.consume("t", "beginning", &[]);
    assert_eq!(values, "none\n\ngzip\n\nsnappy\n\nlz4\n\nzstd\n\n");
    let keys = tools.consume("t", "-2", &["--format", "key-value", "--partition", "1"]);
    assert_eq!(keys, "k4\tzstd\nk\t\n");
    let json = tools.consume("t", "offset:8", &["--format", "json"]);
    let records: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        records[0]["headers"],
        json!([{"name": "h", "value": "1"}, {"name": "h", "value": "2"}])
    );
    let of_last = (&records[1]["value"], &records[1]["offset"]);
    assert_eq!(of_last, (&Value::Null, &json!(9)));
    let at = records[0]["timestamp"].as_i64().unwrap();
    let since = tools.consume("t", &format!("timestamp:{at}"), &[]);
    assert!(since.ends_with("zstd\n\n"), "{since}");
    assert_eq!(tools.consume("t", "end", &[]), "");
    assert_eq!(
        tools.consume("t", "offset:99", &[]),
        "",
        "nobody has it: the end"
    );
    let unheard = tools.produce(&["t", "--acks", "0"], b"x\n");
    assert!(unheard.starts_with("1 records sent"), "{unheard}");

    let (_, partition) = tools.inspect(&["partition", "t", "1"]);
    let object = partition
        .split_whitespace()
        .find(|word| word.starts_with("data/"));
    let object = object.unwrap_or_else(|| panic!("no object in {partition}"));
    let (is_good, said) = tools.inspect(&["object", object]);
    assert!(is_good && said.contains("checksums: all good"), "{said}");
    let (is_good, said) = tools.inspect(&["topic", "t"]);
    assert!(is_good && said.contains("topic t, id "), "{said}");
    let file = place.path().join(object);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (is_good, said) = tools.inspect(&["object", object]);
    assert!(!is_good && said.contains("DAMAGED"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_before_a_bad_one_are_produced() {
    let place = Place::folder().unwrap();
    let tools = tools(&place).await;
    let args = ["produce", "t", "--key-separator", ":"];
    let output = tools.run(&args, b"a:1\nb:2\nno key\nc:3\n");
    assert!(!output.status.success());
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains("line 3: no key separator"),
        "{complaint}"
    );
    let said = text(&output.stdout);
    assert!(said.starts_with("2 records acknowledged"), "{said}");
    assert_eq!(tools.consume("t", "beginning", &[]), "1\n2\n");
}
