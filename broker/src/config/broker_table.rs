//! The settings of an agent: the one table. Kafka's keep their names and defaults.

mod data;
mod groups;
mod process;

use runtime::settings::{Kind, Setting};

const LONG: i64 = i64::MAX;
const INT: i64 = i32::MAX as i64;

/// A time of at least `min` milliseconds.
const fn time(min: i64) -> Kind {
    Kind::DurationMs { min, max: LONG }
}

/// The same where Kafka has an int.
const fn int_ms(min: i64) -> Kind {
    Kind::DurationMs { min, max: INT }
}

/// A number of bytes of at least `min`.
const fn bytes(min: i64) -> Kind {
    Kind::Bytes { min, max: LONG }
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max }
}

/// Every setting of an agent.
pub fn settings() -> Vec<Setting> {
    let tables = [
        runtime::store::settings::SETTINGS,
        runtime::store::cost::SETTINGS,
        crate::net::SETTINGS,
        process::SETTINGS,
        data::SETTINGS,
        groups::SETTINGS,
    ];
    tables.concat()
}
