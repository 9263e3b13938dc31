//! `millrace bench` as a process: each of its scenarios, small, and what it says of a broker that has lost records.

#![cfg(test)]

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tests::place::Place;
use tests::process::{Launch, binary};

async fn bench(arguments: Vec<String>) -> Output {
    let mut command = std::process::Command::new(binary().unwrap());
    command.arg("bench").args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.unwrap().unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

const SCENARIOS: [&str; 8] = [
    "tail",
    "fan-out",
    "cold-catch-up",
    "catch-up-beside-tail",
    "many-small-producers",
    "one-large-producer",
    "many-partitions",
    "cost",
];

/// That a scenario kept all promises, and measured what it is to measure.
fn assert_sound(scenario: &Value) {
    let (name, run) = (&scenario["scenario"], &scenario["runs"][0]);
    assert_eq!(run["violations"], Value::Array(vec![]), "{name}");
    let groups = scenario["settings"]["groups"].as_u64().unwrap();
    let verification = &run["verification"];
    let acknowledged = verification["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 0, "{name}: {verification}");
    assert_eq!(
        verification["received"],
        acknowledged * groups,
        "{name}: each group reads all"
    );
    assert_eq!(verification["verified"], verification["received"], "{name}");
    assert!(
        scenario["means"]["produce MiB/s"].as_f64().unwrap() > 0.0,
        "{name}"
    );
    assert!(
        scenario["means"]["ack p99.9 ms"].as_f64().unwrap() > 0.0,
        "{name}"
    );
    let cost = &run["phases"][0]["cost"];
    assert!(
        cost["puts_per_gib"].as_f64().unwrap() > 0.0,
        "{name}: {cost}"
    );
    assert!(
        cost["dollars_per_gib"].as_f64().unwrap() > 0.0,
        "{name}: {cost}"
    );
    for phase in run["phases"].as_array().unwrap() {
        let bytes = |name: &str| phase["cost"][name].as_u64().unwrap();
        let peak = bytes("broker_memory_peak_bytes");
        let bound = bytes("broker_memory_bound_bytes");
        assert!(peak > 1 << 20, "{name}: {cost}");
        assert!(peak < bound && bound < 8 << 30, "{name}: {peak} of {bound}");
    }
    let puts = cost["store_latency"].as_array().unwrap();
    assert!(
        puts.iter()
            .any(|l| l["operation"] == "put" && l["duty"] == "produce"),
        "{name}"
    );
    let waits = name != "cold-catch-up";
    assert_eq!(
        run["phases"][0]["end_to_end"]["allowed_p50_ms"].is_number(),
        waits,
        "{name}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_runs_and_every_record_comes_back_once() {
    let (store, results) = (Place::folder().unwrap(), tempfile::tempdir().unwrap());
    let broker = Launch::dev(&store.url).start().await.unwrap();
    let (json, plot) = (results.path().join("r.json"), results.path().join("r.svg"));
    let (bootstrap, pid) = (&broker.bootstrap, broker.pid());
    let admin = broker.admin.clone().unwrap();
    let mut arguments = words(&format!(
        "--scenario all --bootstrap {bootstrap} --admin {admin} --broker-pid {pid} --restart true --json {} --plot {}",
        json.display(),
        plot.display()
    ));
    let small =
        "--producers 3 --partitions 6 --batch-bytes 4KiB --bytes 160KiB --rate 1 --settle 0s";
    arguments.extend(words(small));
    let output = bench(arguments).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{complaints}");

    let document = read(&json);
    assert_eq!(document["schema"], 1);
    let scenarios = document["scenarios"].as_array().unwrap();
    let names: Vec<_> = scenarios
        .iter()
        .map(|s| s["scenario"].as_str().unwrap())
        .collect();
    assert_eq!(names, SCENARIOS);
    scenarios.iter().for_each(assert_sound);
    let of = |name: &str| scenarios.iter().find(|s| s["scenario"] == name).unwrap();
    let phases = |name: &str| {
        let phases = of(name)["runs"][0]["phases"].as_array().unwrap();
        phases
            .iter()
            .map(|phase| phase["phase"].as_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(phases("cold-catch-up"), ["produce", "consume"]);
    assert_eq!(
        phases("catch-up-beside-tail"),
        ["produce and consume", "beside catch-up"]
    );
    assert_eq!(of("fan-out")["settings"]["groups"], 10);
    let beside = of("catch-up-beside-tail");
    let caught_up = &beside["runs"][0]["catch_up_verification"];
    assert!(caught_up["received"].as_u64().unwrap() > 0, "{caught_up}");
    let ratios = beside["beside"].as_array().unwrap();
    assert!(
        ratios.iter().any(|r| r["measure"] == "end to end p99 ms"),
        "{ratios:?}"
    );

    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    for name in SCENARIOS {
        assert!(
            svg.contains(&format!("{name}: MiB/s")),
            "{name} is not drawn"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_are_compared_in_turn() {
    let stores = [Place::folder().unwrap(), Place::folder().unwrap()];
    let one = Launch::dev(&stores[0].url).start().await.unwrap();
    let other = Launch::dev(&stores[1].url).start().await.unwrap();
    let results = tempfile::tempdir().unwrap();
    let json = results.path().join("r.json");
    let output = bench(words(&format!(
        "--scenario fan-out --groups 2 --bytes 64KiB --rounds 2 --bootstrap {} --compare {} --json {}",
        one.bootstrap,
        other.bootstrap,
        json.display()
    )))
    .await;
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    let scenario = &read(&json)["scenarios"][0];
    assert_eq!(scenario["runs"].as_array().unwrap().len(), 2);
    assert_eq!(scenario["compared"].as_array().unwrap().len(), 2);
    let ratio = scenario["ratios"].as_array().unwrap();
    assert!(
        ratio.iter().any(|r| r["measure"] == "end to end p50 ms"),
        "{ratio:?}"
    );
    assert!(printed.contains("ratio"), "{printed}");
}

/// The command that should restart the broker puts another in its place, which has never seen what was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_has_lost_records_is_an_error() {
    let stores = [Place::folder().unwrap(), Place::folder().unwrap()];
    let one = Launch::dev(&stores[0].url).start().await.unwrap();
    let forgetful = Launch::dev(&stores[1].url).start().await.unwrap();
    let load = "--mode produce --topic t --bytes 64KiB";
    let filled = bench(words(&format!(
        "{load} --bootstrap {}",
        forgetful.bootstrap
    )))
    .await;
    assert!(filled.status.success());
    let mut arguments = words(&format!(
        "--mode phases --topic t --bytes 64KiB --bootstrap {} --restart",
        one.bootstrap
    ));
    arguments.push(format!("echo bootstrap {}", forgetful.bootstrap));
    let output = bench(arguments).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    assert!(complaint.contains("126 records lost"), "{complaint}");
}
