use std::time::Duration;

use clap::ValueEnum;

use super::super::args::{Mode, Rate};
use super::*;

fn resolved(flags: &str) -> Result<Vec<(Option<Scenario>, Args)>> {
    let given: Vec<OsString> = flags.split_whitespace().map(Into::into).collect();
    resolve(Flags::parse_from(given.clone()).args, &given)
}

fn refusal(flags: &str) -> String {
    let error = resolved(flags)
        .err()
        .map(|error| (error.exit_code(), error.to_string()));
    let (code, text) = error.unwrap_or_else(|| panic!("{flags} is taken"));
    assert_eq!(code, 2, "{text}");
    text
}

#[test]
fn every_scenario_is_a_line_of_flags_that_make_sense() {
    for load in Scenario::LOADS {
        let args = parse(load, &["--restart".into(), "true".into()]).unwrap();
        let (restart, limited) = (
            args.reads_later(),
            args.duration.is_some() || args.bytes.is_some(),
        );
        assert!(limited, "{load:?} has no end of its own");
        let args = Args {
            restart: args.restart.filter(|_| restart),
            ..args
        };
        args.check()
            .unwrap_or_else(|error| panic!("{load:?}: {error}"));
    }
    let all = Scenario::value_variants().len();
    assert_eq!(
        all,
        Scenario::LOADS.len() + 1,
        "one is missing among the loads"
    );
}

#[test]
fn flags_win_over_those_of_the_scenario() {
    let plain = resolved("--scenario fan-out").unwrap().remove(0).1;
    assert_eq!(
        (plain.groups, plain.rate),
        (10, Rate::BytesPerSecond(10.0 * 1_048_576.0))
    );
    let set = resolved("--groups 3 --scenario fan-out --rate=max")
        .unwrap()
        .remove(0)
        .1;
    assert_eq!((set.groups, set.rate), (3, Rate::Max));
    assert_eq!(set.batch_bytes, plain.batch_bytes);
}

#[test]
fn either_limit_replaces_that_of_the_scenario() {
    let of = |flags: &str| {
        let args = resolved(flags).unwrap().remove(0).1;
        (args.time_limit(), args.bytes)
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(of("--scenario one-large-producer"), (None, Some(2 << 30)));
    assert_eq!(
        of("--scenario one-large-producer --duration 5s"),
        (seconds(5), None)
    );
    assert_eq!(of("--scenario tail --bytes=1MiB"), (None, Some(1 << 20)));
    assert_eq!(
        of("--scenario tail --duration 5s --bytes 1MiB"),
        (seconds(5), Some(1 << 20))
    );
}

#[test]
fn several_run_in_the_order_given() {
    let loads = resolved("--scenario many-partitions,tail --partitions 2").unwrap();
    let names: Vec<String> = loads.iter().map(|(load, _)| load.unwrap().name()).collect();
    assert_eq!(names, ["many-partitions", "tail"]);
    assert!(loads.iter().all(|(_, args)| args.partitions == 2));
}

#[test]
fn all_leaves_out_what_cannot_run() {
    let names = |flags: &str| {
        let loads = resolved(flags).unwrap();
        let names = loads
            .into_iter()
            .map(|(load, args)| (load.unwrap().name(), args.restart));
        names.collect::<Vec<_>>()
    };
    let without: Vec<_> = names("--scenario all")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(without.len(), Scenario::LOADS.len() - 2, "{without:?}");
    assert!(
        !without.contains(&"cold-catch-up".to_owned()),
        "{without:?}"
    );
    let with = names("--scenario all --restart true --admin http://a --admin http://b");
    assert_eq!(with.len(), Scenario::LOADS.len());
    let restarted = with.iter().filter(|(_, restart)| restart.is_some());
    let restarted: Vec<_> = restarted.map(|(name, _)| name.as_str()).collect();
    assert_eq!(restarted, ["cold-catch-up", "catch-up-beside-tail"]);
}

#[test]
fn what_a_scenario_cannot_do_without_is_named() {
    let text = refusal("--scenario cold-catch-up");
    assert!(
        text.contains("cold-catch-up") && text.contains("--restart COMMAND"),
        "{text}"
    );
    let text = refusal("--scenario cost");
    assert!(
        text.contains("cost") && text.contains("--admin URL"),
        "{text}"
    );
    assert!(refusal("--scenario tail --restart true").starts_with("--restart"));
    assert!(refusal("--scenario tail --record-size 1").starts_with("--record-size"));
    assert!(
        refusal("--acks 1").starts_with("--acks"),
        "without a scenario too"
    );
    let unknown = Flags::try_parse_from(["--scenario", "fast"])
        .err()
        .map(|e| e.to_string());
    assert!(unknown.is_some_and(|text| text.contains("many-small-producers")));
}

#[test]
fn without_a_scenario_flags_alone_say_what_is_done() {
    let loads = resolved("--mode produce --rate 3").unwrap();
    assert_eq!((loads.len(), loads[0].0), (1, None));
    assert_eq!(loads[0].1.mode, Mode::Produce);
}
