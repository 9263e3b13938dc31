//! Clients are steered away from agents that drain or are not well, before those stop accepting them; and a rolling restart
//! costs clients retries, nothing else.

#![cfg(test)]

use std::time::Duration;

use runtime::store::decorators::{FaultPlan, Faults};
use tests::agents::{LogKind, Site, Trouble};
use tests::cluster::{addresses, admin_get, agents, fenced, until, until_all_list};
use tests::place::Place;
use tests::process::Process;
use tests::raw::{Batch, Raw};
use tests::s3::{Effect, Latency, Op, Rule};
use tests::workload::{self, Workload};

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 3;
const SEEN_WITHIN: Duration = Duration::from_secs(30);
const EXIT_WITHIN: Duration = Duration::from_secs(30);

async fn start(place: &Place, id: &str) -> Process {
    place
        .broker(id)
        .arg("--agent-session-timeout-ms", "10s")
        .arg("--agent-heartbeat-ms", "500ms")
        .arg("--drain-notice-ms", "2s")
        .allow("expired an agent that fell silent")
        .start()
        .await
        .unwrap()
}

async fn create_topic(bootstrap: &str) {
    let mut raw = Raw::connect(bootstrap).await.unwrap();
    assert_eq!(raw.create_topic(TOPIC, PARTITIONS).await.unwrap(), 0);
}

/// Whether these are exactly the agents that the one at `bootstrap` shows.
async fn shows(bootstrap: &str, expected: &[&str]) -> bool {
    let expected = expected.iter().map(|&address| address.to_owned()).collect();
    agents(bootstrap).await.is_ok_and(|shown| shown == expected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_agent_leaves_metadata_before_it_stops_accepting() {
    let place = Place::folder().unwrap();
    let (mut leaving, staying) = (
        start(&place, "leaving").await,
        start(&place, "staying").await,
    );
    let both = [leaving.bootstrap.as_str(), &staying.bootstrap];
    until("both know both", SEEN_WITHIN, || async {
        shows(both[0], &both).await && shows(both[1], &both).await
    })
    .await;
    create_topic(&leaving.bootstrap).await;
    let admin = leaving.admin.clone().unwrap();
    assert_eq!(admin_get(&admin, "/readyz").await.unwrap().0, 200);
    leaving.terminate();
    until("clients are sent to the other", SEEN_WITHIN, || async {
        shows(&staying.bootstrap, &both[1..]).await
    })
    .await;
    assert!(
        shows(&leaving.bootstrap, &both[1..]).await,
        "it still serves, and shows the other alone"
    );
    assert_eq!(
        fenced(&staying.bootstrap).await,
        [leaving.bootstrap.clone()].into()
    );
    let (status, why) = admin_get(&admin, "/readyz").await.unwrap();
    assert_eq!(status, 503, "{why}");
    let mut raw = Raw::connect(&leaving.bootstrap).await.unwrap();
    let batch = Batch::of_values(["late"]).encode();
    assert_eq!(raw.produce(TOPIC, 0, batch).await.unwrap().error_code, 0);
    let status = leaving.wait(EXIT_WITHIN).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let (error, end) = Raw::connect(&staying.bootstrap)
        .await
        .unwrap()
        .list_offset(TOPIC, 0, -1)
        .await
        .unwrap();
    assert_eq!((error, end), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_write_is_avoided_until_it_can() {
    let site = Site::new(LogKind::Memory, 6);
    let settings = [("agent.unwell.after.ms", "500ms")];
    let well = site.start("well", Trouble::default(), &settings).await;
    let ill = site.start("ill", Trouble::default(), &settings).await;
    let both = [well.address.as_str(), &ill.address];
    until("both are shown", SEEN_WITHIN, || shows(both[0], &both)).await;
    create_topic(&ill.address).await;
    fail_writes(&ill.faults);
    let mut raw = Raw::connect(&ill.address).await.unwrap();
    let waiting = tokio::spawn(async move {
        let batch = Batch::of_values(["waits"]).encode();
        raw.produce(TOPIC, 0, batch).await
    });
    for address in both {
        until("clients are sent to the other", SEEN_WITHIN, || {
            shows(address, &both[..1])
        })
        .await;
    }
    ill.heal();
    until("both are shown again", SEEN_WITHIN, || {
        shows(both[0], &both)
    })
    .await;
    assert_eq!(waiting.await.unwrap().unwrap().error_code, 0);
}

fn fail_writes(faults: &Faults) {
    faults.set(FaultPlan {
        before: 1.0,
        under: "data/".to_owned(),
        ..FaultPlan::default()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_reach_the_log_is_not_ready_until_it_can() {
    let place = Place::s3().await.unwrap();
    let process = place
        .broker("alone")
        .arg("--metadata", "bucket")
        .arg("--agent-heartbeat-ms", "200ms")
        .arg("--agent-unwell-after-ms", "2s")
        .arg("--store-request-timeout-ms", "500ms")
        .allow(" WARN ")
        .start()
        .await
        .unwrap();
    let admin = process.admin.clone().unwrap();
    let ready = || async { admin_get(&admin, "/readyz").await.unwrap() };
    assert_eq!(ready().await.0, 200);
    place.faults().add(Rule::always(&[], Effect::Hang));
    until("it is not ready", SEEN_WITHIN, || async {
        ready().await.0 == 503
    })
    .await;
    let (_, why) = ready().await;
    assert!(
        why.contains("health: the metadata log has not answered"),
        "{why}"
    );
    assert_eq!(admin_get(&admin, "/healthz").await.unwrap().0, 200);
    place.faults().clear();
    until("it is ready again", SEEN_WITHIN, || async {
        ready().await.0 == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_loses_and_doubles_nothing() {
    let place = Place::s3().await.unwrap();
    let latency = Latency::LogNormal {
        median: Duration::from_millis(5),
        sigma: 0.5,
    };
    place.faults().set_latency(Op::Put, latency);
    let ids = ["a", "b", "c"];
    let mut processes = Vec::new();
    for id in ids {
        processes.push(start(&place, id).await);
    }
    create_topic(&processes[0].bootstrap).await;
    let mut load = Workload::start(TOPIC, PARTITIONS, 6, &addresses(&processes));
    load.progress(60).await;
    // Each is asked to end, and started anew when it has; then each is killed.
    for is_killed in [false, true] {
        for (index, id) in ids.into_iter().enumerate() {
            if is_killed {
                processes[index].kill().await;
            } else {
                processes[index].stop(EXIT_WITHIN).await;
            }
            load.progress(30).await;
            processes[index] = start(&place, id).await;
            load.set_addresses(&addresses(&processes));
            until_all_list(&processes, SEEN_WITHIN).await;
            load.progress(30).await;
        }
    }
    let acknowledged = load.finish().await;
    assert!(acknowledged.len() >= 420, "{}", acknowledged.len());
    workload::verify(&processes[1].bootstrap, TOPIC, PARTITIONS, &acknowledged).await;
}
