use std::time::Duration;

use super::*;

fn run(mib: u64, cpu: f64) -> RunReport {
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
            cost: Cost::new(counters, flow.bytes, &prices),
        }],
        verification: Some(Verification {
            received: 5,
            ..Verification::default()
        }),
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
fn brokers_are_compared_by_the_mean_of_their_rounds() {
    let ratios = compare(&[run(512, 1.0), run(512, 2.0)], &[run(256, 3.0)]);
    let of = |measure: &str| ratios.iter().find(|r| r.measure == measure).unwrap().ratio;
    assert!((of("produce MiB/s") - 2.0).abs() < 1e-9);
    assert!((of("ack p50 ms") - 1.0).abs() < 1e-9);
    assert!((of("produce: broker CPU s per GiB") - 0.25).abs() < 1e-9);
    let table = super::ratios(&ratios, "a:1", "b:2").to_string();
    assert!(
        table.contains("produce: broker CPU s per GiB  3.00  12.0   0.25"),
        "{table}"
    );
}

#[test]
fn a_violation_depends_on_what_was_promised() {
    let seen = Seen {
        records: 9,
        duplicated: 2,
        reordered: 1,
        ..Seen::default()
    };
    let verification = Verification::new(seen, Some(9), 0);
    assert_eq!(
        verification.violations(true, 3),
        ["2 records duplicated", "1 records out of order"]
    );
    assert!(verification.violations(false, 3).is_empty());
    assert_eq!(verification.violations(false, 0).len(), 2);
    let lost = Verification::new(
        Seen {
            altered: 1,
            offset_gaps: 4,
            ..seen
        },
        Some(20),
        11,
    );
    assert_eq!(
        lost.violations(false, 3),
        [
            "11 records lost",
            "1 records altered",
            "4 records behind a gap in the offsets",
        ]
    );
}
