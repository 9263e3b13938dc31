//! Owns the settings by which a user says where the store is and how it is reached.

use std::time::Duration;

use super::StoreOptions;
use crate::settings::{Kind, Resolved, Setting};

/// Three answers: yes, no, and what the documentation of the setting says.
const AUTO: Kind = Kind::Choice(&["auto", "true", "false"]);
const TIME: Kind = Kind::DurationMs {
    min: 1,
    max: 600_000,
};

/// What may be set about the store.
pub const SETTINGS: &[Setting] = &[
    Setting::text(
        "store.url",
        "",
        "Where everything is kept: `s3://bucket/prefix`, `gs://bucket/prefix`, \
         `az://container/prefix`, `file:///folder`, `./folder` or `memory://`.",
    ),
    Setting::text(
        "store.endpoint",
        "",
        "Address of the S3 server, such as `http://127.0.0.1:9000`. Without it `AWS_ENDPOINT_URL`, \
         else AWS.",
    ),
    Setting::text(
        "store.region",
        "",
        "Region of the S3 bucket. Without it `AWS_REGION`.",
    ),
    Setting::text(
        "store.access.key.id",
        "",
        "Access key for S3. Without it `AWS_ACCESS_KEY_ID`, else the role of the machine.",
    ),
    Setting::text(
        "store.secret.access.key",
        "",
        "Secret for the access key. Without it `AWS_SECRET_ACCESS_KEY`.",
    )
    .secret(),
    Setting::new(
        "store.virtual.hosted",
        AUTO,
        "auto",
        "Whether the S3 bucket's name goes into the host instead of the path. `auto`: the path, \
         unless `AWS_VIRTUAL_HOSTED_STYLE_REQUEST` says otherwise.",
    ),
    Setting::bool(
        "store.allow.http",
        "false",
        "Permit plain HTTP to other machines. To this machine it always is permitted.",
    ),
    Setting::new(
        "store.unsigned.payload",
        AUTO,
        "auto",
        "Leave bodies out of S3 signatures, which spares hashing every byte. `auto`: over TLS and \
         to this machine.",
    ),
    Setting::new(
        "store.bulk.delete",
        AUTO,
        "auto",
        "Delete up to 1,000 objects in one S3 request. `auto`: on AWS, not on other servers, some \
         of which lack it.",
    ),
    Setting::new(
        "store.request.timeout.ms",
        TIME,
        "10s",
        "The longest one request to the store may take, body included.",
    ),
    Setting::new(
        "store.connect.timeout.ms",
        TIME,
        "3s",
        "The longest establishing a connection to the store may take.",
    ),
    Setting::new(
        "store.retries",
        Kind::Int { min: 0, max: 20 },
        "2",
        "How often the client repeats a failed request before the failure is acted on.",
    ),
    Setting::new(
        "store.retry.budget.ms",
        Kind::DurationMs {
            min: 0,
            max: 600_000,
        },
        "5s",
        "After this long since the first attempt the client repeats no more.",
    ),
    Setting::new(
        "store.hedge.percent",
        Kind::Int { min: 0, max: 50 },
        "5",
        "How many of a hundred reads and writes may be sent a second time because the first takes \
         longer than 95 of 100 like it; whichever is answered first counts. 0: none. Only on s3, \
         gs and az; never for background duties.",
    ),
];

impl StoreOptions {
    /// The options that settings resolved from a table with [`SETTINGS`] in it come to.
    pub fn from_settings(resolved: &Resolved) -> Self {
        let text = |name| resolved.opt_text(name).map(str::to_string);
        let auto = |name| match resolved.text(name) {
            "auto" => None,
            chosen => Some(chosen == "true"),
        };
        let time = |name| -> Duration { resolved.duration(name) };
        Self {
            endpoint: text("store.endpoint"),
            region: text("store.region"),
            virtual_hosted: auto("store.virtual.hosted"),
            access_key_id: text("store.access.key.id"),
            secret_access_key: text("store.secret.access.key"),
            allow_http: resolved.bool("store.allow.http"),
            unsigned_payload: auto("store.unsigned.payload"),
            bulk_delete: auto("store.bulk.delete"),
            request_timeout: time("store.request.timeout.ms"),
            connect_timeout: time("store.connect.timeout.ms"),
            retries: usize::try_from(resolved.int("store.retries")).unwrap_or_default(),
            retry_budget: time("store.retry.budget.ms"),
            hedge_percent: u32::try_from(resolved.int("store.hedge.percent")).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_defaults_of_settings_and_options_are_the_same() {
        let resolved = Settings::resolve(SETTINGS, None, [], vec![]).unwrap();
        let (set, built) = (
            StoreOptions::from_settings(&resolved),
            StoreOptions::default(),
        );
        assert_eq!(format!("{set:?}"), format!("{built:?}"));
    }

    #[test]
    fn every_setting_reaches_its_option() {
        let flags = SETTINGS.iter().map(|setting| {
            let value = match setting.kind {
                Kind::Text => "given",
                Kind::Int { .. } => "7",
                Kind::DurationMs { .. } => "70s",
                _ => "true",
            };
            (setting.name.to_string(), value.to_string())
        });
        let resolved = Settings::resolve(SETTINGS, None, [], flags.collect()).unwrap();
        let set = StoreOptions::from_settings(&resolved);
        let given = Some("given".to_string());
        assert_eq!([&set.endpoint, &set.region], [&given, &given]);
        assert_eq!(
            [&set.access_key_id, &set.secret_access_key],
            [&given, &given]
        );
        assert_eq!(
            [set.virtual_hosted, set.unsigned_payload, set.bulk_delete],
            [Some(true); 3]
        );
        assert!(set.allow_http);
        let times = [set.request_timeout, set.connect_timeout, set.retry_budget];
        assert_eq!(times, [Duration::from_secs(70); 3]);
        assert_eq!((set.retries, set.hedge_percent), (7, 7));
    }
}
