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
