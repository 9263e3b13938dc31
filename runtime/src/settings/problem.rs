//! Owns what is told to a user whose settings cannot be used.

/// Where exactly a value or a name was written, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the table itself: a programming error.
    Default,
    /// In the settings file.
    File,
    /// In this environment variable.
    Env(String),
    /// On the command line.
    Flag,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("built in"),
            Self::File => f.write_str("in the settings file"),
            Self::Env(name) => write!(f, "in the environment variable {name}"),
            Self::Flag => f.write_str("on the command line"),
        }
    }
}

/// One thing wrong with what was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No setting has this name.
    Unknown {
        /// The name as written.
        name: String,
        /// Where.
        origin: Origin,
        /// The name that was perhaps meant, in the same notation.
        nearest: Option<String>,
    },
    /// The setting does not take this value.
    Invalid {
        /// The setting.
        name: String,
        /// The value as written; hidden if it is a secret.
        value: String,
        /// What it takes.
        allowed: String,
        /// Where.
        origin: Origin,
    },
    /// The same setting is written twice in the file, once nested and once dotted.
    Twice {
        /// The setting.
        name: String,
    },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown {
                name,
                origin,
                nearest,
            } => {
                write!(f, "unknown setting {name:?} ({origin})")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest:?}?"),
                    None => Ok(()),
                }
            }
            Self::Invalid {
                name,
                value,
                allowed,
                origin,
            } => {
                write!(
                    f,
                    "{name} cannot be {value:?} ({origin}): allowed is {allowed}"
                )
            }
            Self::Twice { name } => write!(f, "{name} is written twice in the settings file"),
        }
    }
}

/// What is wrong with what was set: at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// Each of them.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SettingsError {}
