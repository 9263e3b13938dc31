//! What the store charges: requests and bytes by duty, priced by a list in the settings, as dollars
//! per day.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Duty, StoreCounters, StoreMeter};
use crate::clock::SharedClock;
use crate::metric_definitions::{STORE_DOLLARS, STORE_DOLLARS_PER_DAY};
use crate::settings::{Kind, Resolved, Setting};

/// Dollars per day are those of this long, or of the time since the process began if that is less.
const WINDOW: Duration = Duration::from_secs(3_600);

/// How often they are computed.
const INTERVAL: Duration = Duration::from_secs(15);

const DAY_SECONDS: f64 = 86_400.0;
const MONTH_DAYS: f64 = 30.0;
const GIB: f64 = (1u64 << 30) as f64;

/// The list of prices. The defaults are those of S3 standard in us-east-1, read by machines of the
/// same region.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "price.puts.1000",
        Kind::Decimal,
        "0.005",
        "Dollars that the store charges for 1,000 PUT, COPY or LIST requests.",
    ),
    Setting::new(
        "price.gets.1000",
        Kind::Decimal,
        "0.0004",
        "Dollars that the store charges for 1,000 GET or HEAD requests.",
    ),
    Setting::new(
        "price.put.gib",
        Kind::Decimal,
        "0",
        "Dollars for a GiB sent to the store.",
    ),
    Setting::new(
        "price.got.gib",
        Kind::Decimal,
        "0",
        "Dollars for a GiB received from the store.",
    ),
    Setting::new(
        "price.stored.gib.month",
        Kind::Decimal,
        "0.023",
        "Dollars for a GiB kept for 30 days.",
    ),
];

/// What a store charges, in dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// For 1,000 objects or parts written, copied, or pages listed.
    pub puts_1000: f64,
    /// For 1,000 objects read or asked about.
    pub gets_1000: f64,
    /// For a GiB sent.
    pub put_gib: f64,
    /// For a GiB received.
    pub got_gib: f64,
    /// For a GiB kept for 30 days.
    pub stored_gib_month: f64,
}

impl Default for Prices {
    /// Those of S3 standard.
    fn default() -> Self {
        Self {
            puts_1000: 0.005,
            gets_1000: 0.0004,
            put_gib: 0.0,
            got_gib: 0.0,
            stored_gib_month: 0.023,
        }
    }
}

impl Prices {
    /// The list that settings resolved from a table with [`SETTINGS`] in it come to.
    pub fn from_settings(resolved: &Resolved) -> Self {
        Self {
            puts_1000: resolved.decimal("price.puts.1000"),
            gets_1000: resolved.decimal("price.gets.1000"),
            put_gib: resolved.decimal("price.put.gib"),
            got_gib: resolved.decimal("price.got.gib"),
            stored_gib_month: resolved.decimal("price.stored.gib.month"),
        }
    }

    /// Dollars for what was asked of a store.
    pub fn requests(&self, asked: &StoreCounters) -> f64 {
        let thousands = |requests: u64| requests as f64 / 1_000.0;
        let gib = |bytes: u64| bytes as f64 / GIB;
        thousands(asked.puts + asked.lists) * self.puts_1000
            + thousands(asked.gets + asked.heads) * self.gets_1000
            + gib(asked.bytes_put) * self.put_gib
            + gib(asked.bytes_got) * self.got_gib
    }

    /// Dollars per day for so many bytes kept.
    pub fn stored_per_day(&self, bytes: u64) -> f64 {
        bytes as f64 / GIB * self.stored_gib_month / MONTH_DAYS
    }
}

/// Publishes what the requests of some duties cost.
#[derive(Debug)]
pub struct Spending {
    prices: Prices,
    accounts: Vec<Account>,
}

#[derive(Debug)]
struct Account {
    duty: Duty,
    meter: Arc<StoreMeter>,
    rate: Rate,
}

impl Spending {
    /// Of what these meters count.
    pub fn new(prices: Prices, meters: impl IntoIterator<Item = Arc<StoreMeter>>) -> Self {
        let account = |meter: Arc<StoreMeter>| Account {
            duty: meter.duty(),
            meter,
            rate: Rate::default(),
        };
        Self {
            prices,
            accounts: meters.into_iter().map(account).collect(),
        }
    }

    /// Publishes, for ever.
    pub async fn publish(mut self, clock: SharedClock) {
        loop {
            self.publish_once(clock.monotonic());
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn publish_once(&mut self, now: Duration) {
        for Account { duty, meter, rate } in &mut self.accounts {
            let dollars = self.prices.requests(&meter.snapshot());
            metrics::gauge!(STORE_DOLLARS.name, "duty" => duty.label()).set(dollars);
            let per_day = rate.add(now, dollars);
            metrics::gauge!(STORE_DOLLARS_PER_DAY.name, "duty" => duty.label()).set(per_day);
        }
    }
}

/// How fast a sum grows.
#[derive(Debug, Default)]
struct Rate {
    sums: VecDeque<(Duration, f64)>,
}

impl Rate {
    /// The sum is so much now. Gives its growth per day within the window.
    fn add(&mut self, now: Duration, sum: f64) -> f64 {
        self.sums.push_back((now, sum));
        while self.sums.get(1).is_some_and(|(at, _)| *at + WINDOW <= now) {
            self.sums.pop_front();
        }
        let (began, before) = self.sums.front().copied().unwrap_or((now, sum));
        match now.saturating_sub(began) {
            Duration::ZERO => 0.0,
            passed => (sum - before) / passed.as_secs_f64() * DAY_SECONDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn the_defaults_of_settings_and_prices_are_the_same() {
        let resolved = Settings::resolve(SETTINGS, None, [], vec![]).unwrap();
        assert_eq!(Prices::from_settings(&resolved), Prices::default());
    }

    #[test]
    fn each_kind_of_request_has_its_price() {
        let asked = StoreCounters {
            puts: 900,
            lists: 100,
            gets: 1_500,
            heads: 500,
            deletes: 1_000_000,
            bytes_put: 2 << 30,
            bytes_got: 3 << 30,
        };
        assert!((Prices::default().requests(&asked) - (0.005 + 0.0008)).abs() < 1e-12);
        let abroad = Prices {
            put_gib: 0.01,
            got_gib: 0.1,
            ..Prices::default()
        };
        assert!((abroad.requests(&asked) - (0.0058 + 0.02 + 0.3)).abs() < 1e-12);
        assert!((Prices::default().stored_per_day(300 << 30) - 0.23).abs() < 1e-12);
    }

    #[test]
    fn the_rate_is_that_of_the_last_hour() {
        let mut rate = Rate::default();
        let minutes = |m: u64| Duration::from_secs(60 * m);
        assert_eq!(rate.add(minutes(0), 5.0), 0.0);
        let grown = rate.add(minutes(30), 6.0);
        assert!((grown - 48.0).abs() < 1e-9, "{grown}");
        // From here on nothing is spent: the dollar leaves the window again.
        assert!((rate.add(minutes(60), 6.0) - 24.0).abs() < 1e-9);
        assert_eq!(rate.add(minutes(90), 6.0), 0.0);
    }
}
