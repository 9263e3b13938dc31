//! Owns the settings: tables of what may be set, and the one way to resolve file, environment and
//! command line into values that are known to be good.

mod kind;
mod markdown;
mod problem;
mod resolve;

pub use kind::Kind;
pub use markdown::render_markdown;
pub use problem::{Origin, Problem, SettingsError};
pub use resolve::{Resolved, Source};

/// What the environment variables of settings begin with.
pub const ENV_PREFIX: &str = "MILLRACE_";

/// One thing that may be set. Tables of these are the only definition of a setting there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The dotted name, Kafka's where Kafka has the setting: `num.partitions`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its value where nothing sets it, in the same notation as a user would write it.
    pub default: &'static str,
    /// What it does, in a sentence or two for the documentation.
    pub doc: &'static str,
    /// Its value is never shown.
    pub secret: bool,
}

impl Setting {
    /// A setting of any kind.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            doc,
            secret: false,
        }
    }

    /// A setting that is true or false.
    pub const fn bool(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::Bool, default, doc)
    }

    /// A setting of any text; empty means not set.
    pub const fn text(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::Text, default, doc)
    }

    /// A setting of texts separated by commas.
    pub const fn list(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self::new(name, Kind::List, default, doc)
    }

    /// The same setting with its value hidden wherever settings are shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The environment variable that sets it: `MILLRACE_NUM_PARTITIONS` for `num.partitions`.
    pub fn env_name(&self) -> String {
        let upper = self.name.to_ascii_uppercase();
        format!("{ENV_PREFIX}{}", upper.replace(['.', '-'], "_"))
    }
}

/// Settles what holds for every setting of `table`.
pub struct Settings;

impl Settings {
    /// Resolves `table`: the environment wins over the file, the flags win over both. Environment
    /// variables that do not begin with `MILLRACE_` are passed over; a name in no table is an
    /// error, and so is a value its setting does not take.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn resolve(
        table: &[Setting],
        file: Option<&toml::Table>,
        env: impl IntoIterator<Item = (String, String)>,
        flags: Vec<(String, String)>,
    ) -> Result<Resolved, SettingsError> {
        resolve::resolve(table, file, env.into_iter().collect(), flags)
    }
}

#[cfg(test)]
mod tests;
