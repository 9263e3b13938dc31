use clap::Parser;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn parse(flags: &[&str]) -> Args {
    Command::try_parse_from([&["bench"], flags].concat())
        .unwrap()
        .args
}

fn refusal(flags: &[&str]) -> String {
    parse(flags).check().unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_a_careful_client() {
    let args = parse(&[]);
    args.check().unwrap();
    assert_eq!(
        (args.acks.0, args.idempotent, args.in_flight),
        (-1, true, 5)
    );
    assert_eq!((args.record_size, args.batch_bytes), (1024, 65_536));
    assert_eq!(args.time_limit(), Some(Duration::from_secs(10)));
    assert_eq!(parse(&["--bytes", "1GiB"]).time_limit(), None);
    assert!(args.warming_up().is_none());
}

#[test]
fn warming_up_leaves_the_topic_alone() {
    let warm = parse(&["--warm-up", "1MiB", "--topic", "t", "--duration", "1m"]).warming_up();
    let warm = warm.unwrap();
    assert_eq!((warm.topic.as_deref(), warm.bytes), (None, Some(1 << 20)));
    assert_eq!(warm.time_limit(), None);
}

#[test]
fn nonsense_is_refused_with_the_flag() {
    assert!(refusal(&["--record-size", "39"]).starts_with("--record-size"));
    assert!(refusal(&["--acks", "1"]).starts_with("--acks"));
    assert!(refusal(&["--in-flight", "6"]).starts_with("--in-flight"));
    assert!(refusal(&["--mode", "consume"]).starts_with("--mode consume"));
    assert!(refusal(&["--producers", "0"]).starts_with("--producers"));
    parse(&["--idempotent=false", "--acks", "1", "--in-flight", "20"])
        .check()
        .unwrap();
    assert!(Command::try_parse_from(["bench", "--compare-pid", "1"]).is_err());
    assert!(Command::try_parse_from(["bench", "--backfill-rate", "1"]).is_err());
    assert!(Command::try_parse_from(["bench", "--compare-restart", "true"]).is_err());
    assert!(refusal(&["--groups", "0"]).contains("--groups"));
    assert!(refusal(&["--producers", "10001"]).contains("--producers"));
    assert!(refusal(&["--mode", "phases", "--backfill", "1MiB"]).starts_with("--backfill"));
    assert!(refusal(&["--backfill", "0"]).starts_with("--backfill"));
    assert!(refusal(&["--restart", "true"]).starts_with("--restart"));
    let both = ["--mode", "phases", "--restart", "true", "--compare", "h:1"];
    assert!(refusal(&both).contains("--compare-restart"));
    parse(&[&both[..], &["--compare-restart", "true"]].concat())
        .check()
        .unwrap();
}

#[test]
fn rates_and_times_parse() {
    assert_eq!(rate("max"), Ok(Rate::Max));
    assert_eq!(rate("0.5"), Ok(Rate::BytesPerSecond(524_288.0)));
    assert!(rate("0").is_err() && rate("fast").is_err());
    assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert!(duration("-1s").is_err() && duration("1d").is_err());
}

#[test]
fn what_is_caught_up_with_is_written_at_once_whatever_the_rate() {
    let args = parse(&[
        "--rate",
        "1",
        "--backfill",
        "1GiB",
        "--duration",
        "30s",
        "--restart",
        "x",
    ]);
    let filling = args.filling("t".into(), 1 << 30);
    filling.check().unwrap();
    assert_eq!((filling.rate, filling.time_limit()), (Rate::Max, None));
    assert_eq!(
        (filling.mode, filling.bytes),
        (Mode::Produce, Some(1 << 30))
    );
    assert_eq!(filling.topic.as_deref(), Some("t"));
}
