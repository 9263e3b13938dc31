use std::time::Duration;

use super::*;

pub(in crate::tools::bench) fn run(mib: u64, cpu: f64) -> RunReport {
    let mut flow = Flow::default();
    flow.add(mib << 10, mib << 20, Some(Duration::from_millis(4)));
    let counters = Counters {
        broker_cpu: Some(cpu),
        client_cpu: Some(0.5),
        store: Some(StoreRequests(
            [
                (
                    "put".to_owned(),
                    [("produce".to_owned(), 60), ("metadata".to_owned(), 4)].into(),
                ),
                ("delete".to_owned(), [("gc".to_owned(), 9)].into()),
            ]
            .into(),
        )),
        ..Counters::default()
    };
    let prices = Prices {
        per_1000_puts: 0.005,
        per_1000_gets: 0.0004,
    };
    RunReport {
        bootstrap: "127.0.0.1:9092".into(),
        topic: "t".into(),
        phases: vec![PhaseReport {
            phase: "produce",
            produced: Some(FlowReport::new(&flow, 2.0)),
            consumed: None,
            caught_up: None,
            cost: Cost::new(counters, flow.bytes, &prices),
            end_to_end: None,
            seconds: vec![Second::new(1.0, 1.0, [Some(&flow), None, None])],
        }],
        verification: Some(Verification {
            seen: Seen {
                received: 5,
                ..Seen::default()
            },
            ..Verification::default()
        }),
        catch_up_verification: None,
        violations: vec![],
        errors: vec![],
    }
}

#[test]
fn costs_are_per_gib() {
    let cost = &run(512, 3.0).phases[0].cost;
    assert_eq!(cost.broker_cpu_seconds_per_gib, Some(6.0));
    assert_eq!(
        (cost.puts_per_gib, cost.gets_per_gib),
        (Some(128.0), Some(0.0))
    );
    assert!((cost.dollars_per_gib.unwrap() - 0.00064).abs() < 1e-9);
    let nothing = Cost::new(
        Counters {
            broker_cpu: Some(1.0),
            ..Counters::default()
        },
        0,
        &Prices {
            per_1000_puts: 1.0,
            per_1000_gets: 1.0,
        },
    );
    assert_eq!(nothing.broker_cpu_seconds_per_gib, None);
}

#[test]
fn the_report_shows_flow_cost_and_verification() {
    let mut report = run(512, 3.0);
    report.violations.push("3 records lost".into());
    let text = report.to_string();
    assert!(
        text.contains("produced    256    262,144  512  2.00    4.00"),
        "{text}"
    );
    assert!(
        text.contains("produce          6.00  128  0.00  0.000640"),
        "{text}"
    );
    assert!(
        text.contains("verified 0 of 5 received, none acknowledged: 0 lost"),
        "{text}"
    );
    assert!(
        text.contains("produce                put        metadata      4"),
        "{text}"
    );
    assert!(text.contains("VIOLATION: 3 records lost"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["phases"][0]["produced"]["mib_per_second"], 256.0);
    assert_eq!(
        json["phases"][0]["cost"]["store_requests"]["put"]["produce"],
        60
    );
}

#[test]
fn memory_is_shown_next_to_its_bound() {
    let without = run(512, 3.0);
    assert!(!without.to_string().contains("broker memory"));
    let mut with = without.clone();
    let cost = &mut with.phases[0].cost;
    cost.broker_memory_peak_bytes = Some(300 << 20);
    assert!(
        with.to_string()
            .contains("produce             300          -"),
        "{with}"
    );
    with.phases[0].cost.broker_memory_bound_bytes = Some(1200 << 20);
    let text = with.to_string();
    assert!(
        text.contains("produce             300      1,200          0.25"),
        "{text}"
    );
    let json = serde_json::to_value(&with).unwrap();
    assert_eq!(
        json["phases"][0]["cost"]["broker_memory_bound_bytes"],
        1200 << 20
    );
}

#[test]
fn brokers_are_compared_by_the_mean_of_their_rounds() {
    let ratios = compare(&[run(512, 1.0), run(512, 2.0)], &[run(256, 3.0)]);
    let of = |measure: &str| ratios.iter().find(|r| r.measure == measure).unwrap().ratio;
    assert!((of("produce MiB/s") - 2.0).abs() < 1e-9);
    assert!((of("ack p50 ms") - 1.0).abs() < 1e-9);
    assert!((of("produce: broker CPU s per GiB") - 0.25).abs() < 1e-9);
    let table = super::ratios(&ratios, "a:1", "b:2").to_string();
    assert!(
        table.contains("produce: broker CPU s per GiB      3.00      12.0   0.25"),
        "{table}"
    );
}

#[test]
fn a_violation_depends_on_what_was_promised() {
    let seen = Seen {
        received: 9,
        duplicated: 2,
        reordered: 1,
        ..Seen::default()
    };
    let verification = Verification {
        acknowledged: Some(9),
        seen,
        lost: 0,
    };
    assert_eq!(
        verification.violations(true, 3),
        ["2 records duplicated", "1 records out of order"]
    );
    assert!(verification.violations(false, 3).is_empty());
    assert_eq!(verification.violations(false, 0).len(), 2);
    let lost = Verification {
        acknowledged: Some(20),
        seen: Seen {
            altered: 1,
            offset_gaps: 4,
            ..seen
        },
        lost: 11,
    };
    assert_eq!(
        lost.violations(false, 3),
        [
            "11 records lost",
            "1 records altered",
            "4 records behind a gap in the offsets",
        ]
    );
}

/// A run that was repeated while old records were read, and then took `slower` times as long.
fn beside_catch_up(slower: u32) -> RunReport {
    let mut report = run(512, 1.0);
    report.phases[0].phase = "produce and consume";
    let mut phase = report.phases[0].clone();
    let flow = |latency: u32| {
        let mut flow = Flow::default();
        flow.add(10, 1 << 20, Some(Duration::from_millis(4) * latency));
        FlowReport::new(&flow, 1.0)
    };
    report.phases[0].consumed = Some(flow(1));
    (phase.phase, phase.consumed) = ("beside catch-up", Some(flow(slower)));
    phase.caught_up = Some(flow(1));
    report.phases.push(phase);
    report
}

#[test]
fn what_catching_up_does_to_the_tail_is_a_ratio() {
    let report = beside_catch_up(3);
    let ratios = beside(&[report.clone(), report.clone()]);
    let of = |measure: &str| {
        ratios
            .iter()
            .find(|r| r.measure == measure)
            .map(|r| r.ratio)
    };
    assert!(
        (of("end to end p99 ms").unwrap() - 3.0).abs() < 0.01,
        "{ratios:?}"
    );
    assert!((of("ack p99 ms").unwrap() - 1.0).abs() < 0.01, "{ratios:?}");
    assert_eq!(of("old records MiB/s"), None, "there were none without");
    let text = report.to_string();
    assert!(text.contains("end to end p99 ms"), "{text}");
    assert!(beside(&[run(512, 1.0)]).is_empty());
    // Means of the phase alone are not mixed with those beside catch-up.
    let means: std::collections::BTreeMap<_, _> = means(&[report]).into_iter().collect();
    assert!((means["end to end p99 ms"] - 4.0).abs() < 0.01, "{means:?}");
    assert!(
        (means["beside catch-up: end to end p99 ms"] - 12.0).abs() < 0.01,
        "{means:?}"
    );
}

#[test]
fn the_document_says_what_was_run_where_and_what_came_of_it() {
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        args: super::super::Args,
    }
    let flags =
        "bench --bootstrap secret-host:9092 --rate 5 --duration 90s --topic private --groups 2";
    let args = Flags::parse_from(flags.split(' ')).args;
    let (runs, compared) = (vec![run(512, 1.0), run(256, 1.0)], vec![run(768, 2.0)]);
    let scenario = ScenarioReport::new(Some("tail".into()), args, runs, compared);
    let json = serde_json::to_value(Document::new(&[scenario])).unwrap();
    assert_eq!(json["schema"], 1);
    assert!(json["host"]["processors"].as_u64().unwrap() > 0, "{json}");
    let scenario = &json["scenarios"][0];
    assert_eq!(scenario["scenario"], "tail");
    let settings = &scenario["settings"];
    assert_eq!(settings["rate"]["bytes_per_second"], 5.0 * MIB);
    assert_eq!(
        (&settings["duration"], &settings["groups"]),
        (&90.0.into(), &2.into())
    );
    assert_eq!(
        (&settings["mode"], &settings["compression"]),
        (&"both".into(), &"none".into())
    );
    assert_eq!(settings["acks"], -1);
    // Where things are is no setting.
    let text = settings.to_string();
    assert!(
        !text.contains("secret-host") && !text.contains("private"),
        "{text}"
    );
    assert_eq!(scenario["runs"].as_array().unwrap().len(), 2);
    assert_eq!(scenario["means"]["produce MiB/s"], 192.0);
    assert_eq!(scenario["compared_means"]["produce MiB/s"], 384.0);
    assert_eq!(scenario["ratios"][0]["ratio"], 0.5);
    let second = &scenario["runs"][0]["phases"][0]["seconds"][0];
    assert_eq!(second["produced_mib_per_second"], 512.0);
    let p99 = second["ack_p99_ms"].as_f64().unwrap();
    assert!((p99 - 4.0).abs() < 0.01, "{second}");
}
