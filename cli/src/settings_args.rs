//! The settings on the command line: a flag for each, generated from the table.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use runtime::settings::{Resolved, Setting, Settings, Source};

use crate::Failure;

/// What is not a setting: where the settings file is.
const CONFIG: &str = "config";
const CONFIG_ENV: &str = "MILLRACE_CONFIG";

/// Settings from the command line, by name.
#[derive(Debug)]
pub struct Args {
    config: Option<PathBuf>,
    flags: Vec<(String, String)>,
}

/// Every setting there is.
pub fn table() -> Vec<Setting> {
    let mut table = broker::settings();
    table.extend_from_slice(::compactor::SETTINGS);
    table
}

/// The setting's name with dashes; two that everybody uses have a short one.
fn flag_name(setting: &Setting) -> String {
    match setting.name {
        "store.url" => "store".to_owned(),
        "metadata.log" => "metadata".to_owned(),
        name => name.replace('.', "-"),
    }
}

fn with_flags(command: Command, table: &[Setting]) -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help(format!("Settings file (TOML); also {CONFIG_ENV}"));
    table.iter().fold(command.arg(config), |command, setting| {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!(" [default: {}]", setting.default)
        };
        let help = format!("{}{default} [env: {}]", setting.doc, setting.env_name());
        let arg = Arg::new(setting.name)
            .long(flag_name(setting))
            .value_name("VALUE")
            .help(help);
        command.arg(arg.allow_hyphen_values(true))
    })
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        with_flags(command, &table())
    }

    fn augment_args_for_update(command: Command) -> Command {
        with_flags(command, &table())
    }
}

impl clap::FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self::from_flags(matches, &table()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args {
    fn from_flags(matches: &ArgMatches, table: &[Setting]) -> Self {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let flags = table
            .iter()
            .filter_map(|s| Some((s.name.to_owned(), text(s.name)?)));
        Self {
            config: text(CONFIG).map(PathBuf::from),
            flags: flags.collect(),
        }
    }

    /// File, then environment, then flags; `defaults` are flags that any of them overrides.
    pub fn resolve(self, defaults: &[(&str, &str)]) -> Result<Resolved, Failure> {
        let mut env: Vec<(String, String)> = std::env::vars().collect();
        let from_env = env
            .iter()
            .position(|(name, _)| name == CONFIG_ENV)
            .map(|i| env.remove(i).1);
        let file = match self.config.or(from_env.map(PathBuf::from)) {
            Some(path) => {
                let text = std::fs::read_to_string(&path).map_err(|e| {
                    format!("cannot read the settings file {}: {e}", path.display())
                })?;
                let table = text.parse::<toml::Table>();
                Some(table.map_err(|e| format!("{} is not TOML: {e}", path.display()))?)
            }
            None => None,
        };
        let table = table();
        let resolved = Settings::resolve(&table, file.as_ref(), env.clone(), self.flags.clone())?;
        let unset = |name: &str| resolved.source(name) == Source::Default;
        let mut flags = self.flags;
        let own = defaults.iter().filter(|(name, _)| unset(name));
        flags.extend(own.map(|&(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Settings::resolve(&table, file.as_ref(), env, flags)?)
    }
}

/// Those of the settings that say where a cluster is: for tools whose help is not to be about all of them.
#[derive(Debug)]
pub struct PlaceArgs(Args);

impl PlaceArgs {
    /// As [`Args::resolve`].
    pub fn resolve(self, defaults: &[(&str, &str)]) -> Result<Resolved, Failure> {
        self.0.resolve(defaults)
    }

    /// Whether the command line says anything about it.
    pub fn is_given(&self) -> bool {
        self.0.config.is_some() || !self.0.flags.is_empty()
    }

    fn table() -> Vec<Setting> {
        let is_about_place = |setting: &Setting| {
            setting.name.starts_with("store.") || setting.name == "metadata.log"
        };
        table().into_iter().filter(is_about_place).collect()
    }
}

impl clap::Args for PlaceArgs {
    fn augment_args(command: Command) -> Command {
        with_flags(command, &Self::table())
    }

    fn augment_args_for_update(command: Command) -> Command {
        with_flags(command, &Self::table())
    }
}

impl clap::FromArgMatches for PlaceArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Args::from_flags(matches, &Self::table())))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value() {
        Settings::resolve(&table(), None, [], vec![]).unwrap();
    }

    #[test]
    fn settings_are_documented() {
        let page = format!(
            "# Settings\n\n\
             Of `millrace dev`, `millrace broker` and `millrace compactor`; the first takes all, the others pass over those \
             that are not theirs. A value comes from the TOML file given with `--config`, from the environment, or from \
             the command line; the later wins. This page is generated from broker/src/config/broker_table.rs and \
             compactor/src/settings.rs.\n\n{}",
            runtime::settings::render_markdown(&table())
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SETTINGS.md");
        if std::env::var_os("REWRITE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert!(
            found == page,
            "docs/SETTINGS.md is not what the tables say; run REWRITE_DOCS=1 cargo test -p millrace settings_are_documented"
        );
    }
}
