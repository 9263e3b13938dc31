//! Which value each config has, and which layer it comes from: what DescribeConfigs tells.
//!
//! A topic's own value wins over what is set at run time (AlterConfigs) for this agent, that over what is set for all
//! brokers, that over this agent's settings, and those over the default. A group's own value wins over the settings.

use std::collections::BTreeMap;

use control_plane::state::State;
use object_format::AgentEpoch;
use runtime::settings::{Kind, Resolved, Setting, Settings, Source};

use super::group_table::{GROUP_KEYS, GroupKey};
use super::topic_table::{TOPIC_KEYS, TopicKey, topic_key};
use super::value::{ConfigError, ConfigType, normalize};

/// Settings that may be changed at run time, for one broker or all of them: those that are read anew for every batch. Each is the
/// synonym of a topic's config and takes the same values.
pub const DYNAMIC: [&str; 5] = [
    "log.cleanup.policy",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "message.max.bytes",
];

/// Where a value comes from; the numbers are Kafka's (DescribeConfigs, KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic sets it.
    Topic = 1,
    /// It is set for this agent at run time.
    Agent = 2,
    /// It is set for all brokers at run time.
    Brokers = 3,
    /// This agent's settings.
    Static = 4,
    /// Nobody sets it.
    Default = 5,
    /// The group sets it.
    Group = 8,
}

/// A value in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// What it is called there.
    pub name: String,
    /// `None` if it is a secret.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// A config and the value it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: ConfigType,
    /// `None` if it is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// It cannot be changed at run time.
    pub is_read_only: bool,
    /// Its value is never told.
    pub is_secret: bool,
    /// What every layer says that says something, the strongest first.
    pub synonyms: Vec<Synonym>,
    /// What it does.
    pub doc: String,
}

/// What is set for brokers at run time.
#[derive(Clone, Copy, Debug)]
pub struct Dynamic<'a> {
    /// For this agent, by its lasting name.
    pub own: &'a BTreeMap<String, String>,
    /// For all of them.
    pub all: &'a BTreeMap<String, String>,
}

impl<'a> Dynamic<'a> {
    /// What is set for the agent of this registration.
    pub fn of(state: &'a State, agent: AgentEpoch) -> Self {
        let id = state.agent(agent).map(|a| a.registration.agent_id.as_str());
        Self {
            own: state.agent_configs(id.unwrap_or_default()),
            all: state.broker_configs(),
        }
    }

    /// The value of a setting that is set.
    pub fn get(&self, name: &str) -> Option<&'a String> {
        self.own.get(name).or_else(|| self.all.get(name))
    }
}

/// What is set for brokers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLayers<'a> {
    /// At run time.
    pub dynamic: Dynamic<'a>,
    /// For this agent, when it started.
    pub settings: &'a Resolved,
}

impl<'a> BrokerLayers<'a> {
    /// Those of the agent of this registration.
    pub fn new(state: &'a State, agent: AgentEpoch, settings: &'a Resolved) -> Self {
        let dynamic = Dynamic::of(state, agent);
        Self { dynamic, settings }
    }

    /// Every config of a group that sets `own`, in order of name.
    pub fn of_group(&self, own: &BTreeMap<String, String>) -> Vec<InForce> {
        let entry = |key: &GroupKey| {
            let (value, source) = match own.get(key.name) {
                Some(value) => (value.clone(), ConfigSource::Group),
                None => (key.default_value(self.settings), ConfigSource::Default),
            };
            InForce {
                name: key.name.to_owned(),
                kind: key.kind,
                value: Some(value.clone()),
                source,
                is_read_only: false,
                is_secret: false,
                synonyms: vec![Synonym {
                    name: key.name.to_owned(),
                    value: Some(value),
                    source,
                }],
                doc: key.doc.to_owned(),
            }
        };
        GROUP_KEYS.iter().map(entry).collect()
    }

    /// The value a setting of this agent has; empty if there is no such setting, or it is a secret.
    pub fn setting_value(&self, name: &str) -> String {
        let strongest = self.broker_synonyms(name).into_iter().next();
        strongest.and_then(|s| s.value).unwrap_or_default()
    }

    /// Every config of a topic that sets `own`, in order of name.
    pub fn of_topic(&self, own: &BTreeMap<String, String>) -> Vec<InForce> {
        TOPIC_KEYS
            .iter()
            .map(|key| self.topic_entry(key, own))
            .collect()
    }

    /// The value one config of a topic has.
    pub fn topic_value(&self, key: &TopicKey, own: &BTreeMap<String, String>) -> String {
        self.topic_entry(key, own).value.unwrap_or_default()
    }

    /// Every setting of this agent, in order of name.
    pub fn of_broker(&self, node_id: i32) -> Vec<InForce> {
        let id = |name: &str| InForce {
            name: name.to_owned(),
            kind: ConfigType::Int,
            value: Some(node_id.to_string()),
            source: ConfigSource::Static,
            is_read_only: true,
            is_secret: false,
            synonyms: vec![],
            doc: "The number that clients know this agent by; it is given to it when it registers."
                .to_owned(),
        };
        let settings = self
            .settings
            .entries()
            .map(|(setting, _, _)| self.broker_entry(setting));
        let mut entries: Vec<InForce> = settings.chain(["broker.id", "node.id"].map(id)).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    /// What is set for all brokers at run time, and nothing else.
    pub fn of_all_brokers(&self) -> Vec<InForce> {
        let settings = self.settings.entries().map(|(setting, _, _)| setting);
        let entry = |setting: &Setting| {
            let value = self.dynamic.all.get(setting.name)?;
            let synonym = Synonym {
                name: setting.name.to_owned(),
                value: Some(value.clone()),
                source: ConfigSource::Brokers,
            };
            Some(InForce {
                value: synonym.value.clone(),
                source: synonym.source,
                synonyms: vec![synonym],
                ..self.broker_entry(setting)
            })
        };
        settings.filter_map(entry).collect()
    }

    fn topic_entry(&self, key: &TopicKey, own: &BTreeMap<String, String>) -> InForce {
        let own = own.get(key.name).map(|value| Synonym {
            name: key.name.to_owned(),
            value: Some(value.clone()),
            source: ConfigSource::Topic,
        });
        let mut synonyms: Vec<Synonym> = own.into_iter().collect();
        if let Some(name) = key.synonym {
            if self.settings.contains(name) {
                synonyms.extend(self.broker_synonyms(name));
            } else {
                let value = Some(key.default.to_owned());
                synonyms.push(Synonym {
                    name: name.to_owned(),
                    value,
                    source: ConfigSource::Default,
                });
            }
        }
        let (value, source) = match synonyms.first() {
            Some(strongest) => (strongest.value.clone(), strongest.source),
            None => (Some(key.default.to_owned()), ConfigSource::Default),
        };
        InForce {
            name: key.name.to_owned(),
            kind: key.kind,
            value,
            source,
            is_read_only: false,
            is_secret: false,
            synonyms,
            doc: key.doc.to_owned(),
        }
    }

    fn broker_entry(&self, setting: &Setting) -> InForce {
        let synonyms = self.broker_synonyms(setting.name);
        let strongest = synonyms.first();
        InForce {
            name: setting.name.to_owned(),
            kind: kind_of(setting),
            value: strongest.and_then(|s| s.value.clone()),
            source: strongest.map_or(ConfigSource::Default, |s| s.source),
            is_read_only: !DYNAMIC.contains(&setting.name),
            is_secret: setting.secret,
            synonyms,
            doc: setting.doc.to_owned(),
        }
    }

    /// What the brokers' layers say of a setting, the strongest first.
    fn broker_synonyms(&self, name: &str) -> Vec<Synonym> {
        let at = |value: Option<String>, source| Synonym {
            name: name.to_owned(),
            value,
            source,
        };
        let mut synonyms = Vec::new();
        if let Some(value) = self.dynamic.own.get(name) {
            synonyms.push(at(Some(value.clone()), ConfigSource::Agent));
        }
        if let Some(value) = self.dynamic.all.get(name) {
            synonyms.push(at(Some(value.clone()), ConfigSource::Brokers));
        }
        let entry = self
            .settings
            .entries()
            .find(|(setting, _, _)| setting.name == name);
        let Some((setting, _, source)) = entry else {
            return synonyms;
        };
        let shown = |value: String| (!setting.secret).then_some(value);
        if source != Source::Default {
            synonyms.push(at(
                shown(plain(self.settings, setting)),
                ConfigSource::Static,
            ));
        }
        if let Ok(defaults) = Settings::resolve(std::slice::from_ref(setting), None, [], vec![]) {
            synonyms.push(at(shown(plain(&defaults, setting)), ConfigSource::Default));
        }
        synonyms
    }
}

/// A setting's value as Kafka would write it: numbers in digits, without units.
fn plain(resolved: &Resolved, setting: &Setting) -> String {
    match setting.kind {
        Kind::Bool => resolved.bool(setting.name).to_string(),
        Kind::Int { .. } | Kind::Bytes { .. } | Kind::DurationMs { .. } => {
            resolved.int(setting.name).to_string()
        }
        Kind::Decimal => resolved.decimal(setting.name).to_string(),
        Kind::Text | Kind::Choice(_) => resolved.text(setting.name).to_owned(),
        Kind::List => resolved.list(setting.name).join(","),
    }
}

fn kind_of(setting: &Setting) -> ConfigType {
    if setting.secret {
        return ConfigType::Password;
    }
    let topic = TOPIC_KEYS
        .iter()
        .find(|key| key.synonym == Some(setting.name));
    if let Some(key) = topic {
        return key.kind;
    }
    match setting.kind {
        Kind::Bool => ConfigType::Boolean,
        Kind::Int { max, .. } | Kind::Bytes { max, .. } | Kind::DurationMs { max, .. } => {
            if i32::try_from(max).is_ok() {
                ConfigType::Int
            } else {
                ConfigType::Long
            }
        }
        Kind::Decimal => ConfigType::Double,
        Kind::Text | Kind::Choice(_) => ConfigType::String,
        Kind::List => ConfigType::List,
    }
}

/// Checks everything that is set for brokers at run time; gives the form it is kept in.
pub fn normalize_dynamic(
    raw: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConfigError> {
    let fixed: Vec<&str> = raw
        .keys()
        .map(String::as_str)
        .filter(|name| !DYNAMIC.contains(name))
        .collect();
    if !fixed.is_empty() {
        return Err(ConfigError::NotDynamic(fixed.join(", ")));
    }
    let normalized = raw.iter().filter_map(|(name, value)| {
        let key = TOPIC_KEYS.iter().find(|key| key.synonym == Some(name))?;
        let value = normalize(name, key.kind, key.allowed, value);
        Some(value.map(|value| (name.clone(), value)))
    });
    normalized
        .collect::<Result<_, _>>()
        .map_err(|error| ConfigError::OfBroker(Box::new(error)))
}

/// Whether a topic's records may be deleted (DeleteRecords): its `cleanup.policy` says `delete`.
pub fn may_delete_records(layers: &BrokerLayers<'_>, own: &BTreeMap<String, String>) -> bool {
    let Some(key) = topic_key("cleanup.policy") else {
        return false;
    };
    super::value::items(&layers.topic_value(key, own)).contains(&"delete")
}

#[cfg(test)]
#[path = "in_force/tests.rs"]
mod tests;
