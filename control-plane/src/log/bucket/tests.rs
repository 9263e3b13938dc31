//! The bucket log on stores that behave, stores that do not, and processes that sleep.

mod guard;
mod site;
mod traffic;

mod on_memory {
    use super::site::BucketSite;
    crate::log::conformance::conformance!(BucketSite::in_memory());
}

mod on_files {
    use super::site::BucketSite;
    crate::log::conformance::conformance!(BucketSite::on_files());
}

mod on_a_bad_network {
    use super::site::BucketSite;
    crate::log::conformance::conformance!(BucketSite::in_memory().slow());
}

mod on_a_faulty_store {
    use super::site::BucketSite;
    crate::log::conformance::conformance!(
        BucketSite::in_memory().decorated(),
        [faults_neither_lose_nor_invent_entries]
    );
}

#[tokio::test(start_paused = true)]
async fn faults_of_many_seeds_neither_lose_nor_invent_entries() {
    use crate::log::conformance::faults_neither_lose_nor_invent_entries as check;
    for seed in 0..SEEDS {
        let site = site::BucketSite::in_memory().seeded(seed);
        check(&if seed % 2 == 0 {
            site
        } else {
            site.decorated()
        })
        .await;
    }
}

const SEEDS: u64 = 20;
