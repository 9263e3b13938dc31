//! Where a log is: `fdb:/path/to/fdb.cluster?prefix=name`.

use std::path::{Path, PathBuf};

use super::OpenError;

/// The prefix of a log whose address names none.
const PREFIX_DEFAULT: &str = "millrace";

/// Longest prefix, in bytes: it is part of every key.
const PREFIX_BYTES_MAX: usize = 64;

/// A cluster of FoundationDB and the part of its keys that belongs to one Millrace cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The cluster file.
    pub cluster_file: PathBuf,
    /// What every key begins with.
    pub prefix: String,
}

impl Address {
    /// The address that `text` is.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let bad = |why: String| OpenError::Address {
            text: text.to_owned(),
            why,
        };
        let rest = text.strip_prefix("fdb:");
        let rest = rest.ok_or_else(|| bad("it does not begin with fdb:".into()))?;
        let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
        let file = file.strip_prefix("//").unwrap_or(file);
        if !Path::new(file).is_absolute() {
            return Err(bad(
                "after fdb: comes the absolute path of a cluster file".into()
            ));
        }
        let mut prefix = PREFIX_DEFAULT;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", value)) => prefix = value,
                _ => return Err(bad(format!("{pair:?} is not prefix=NAME"))),
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if prefix.is_empty() || prefix.len() > PREFIX_BYTES_MAX || !prefix.chars().all(plain) {
            return Err(bad(format!(
                "a prefix is 1 to {PREFIX_BYTES_MAX} letters, digits or any of - _ . /"
            )));
        }
        Ok(Self {
            cluster_file: file.into(),
            prefix: prefix.to_owned(),
        })
    }

    /// The line of the cluster file that says how to reach the cluster.
    pub(super) fn connection(&self) -> Result<String, OpenError> {
        let bad = |why: String| OpenError::ClusterFile {
            path: self.cluster_file.clone(),
            why,
        };
        let text = std::fs::read_to_string(&self.cluster_file)
            .map_err(|error| bad(format!("it cannot be read: {error}")))?;
        let lines = text.lines().map(str::trim);
        let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().unwrap_or_default().to_owned();
        let whole = line
            .split_once('@')
            .is_some_and(|(name, hosts)| name.contains(':') && hosts.contains(':'));
        if !whole || lines.next().is_some() {
            return Err(bad(
                "it should be one line like description:id@host:port,host:port".into(),
            ));
        }
        Ok(line)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fdb:{}", self.cluster_file.display())?;
        write!(f, "?prefix={}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_file_and_a_prefix() {
        let plain = Address::parse("fdb:/etc/foundationdb/fdb.cluster").unwrap();
        assert_eq!(
            plain.cluster_file,
            Path::new("/etc/foundationdb/fdb.cluster")
        );
        assert_eq!(plain.prefix, "millrace");
        let named = Address::parse("fdb:///a/b?prefix=orders/eu-1").unwrap();
        assert_eq!(named.cluster_file, Path::new("/a/b"));
        assert_eq!(named.to_string(), "fdb:/a/b?prefix=orders/eu-1");
        assert_eq!(Address::parse(&named.to_string()).unwrap(), named);
    }

    #[test]
    fn what_is_no_address_is_refused_and_says_why() {
        for (text, why) in [
            ("bucket", "begin with fdb:"),
            ("fdb:", "absolute path"),
            ("fdb:relative/fdb.cluster", "absolute path"),
            ("fdb:/a?prefix=", "1 to 64 letters"),
            ("fdb:/a?prefix=a%00b", "1 to 64 letters"),
            ("fdb:/a?tenant=x", "\"tenant=x\" is not prefix=NAME"),
        ] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn a_cluster_file_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fdb.cluster");
        let address = Address {
            cluster_file: file.clone(),
            prefix: "p".into(),
        };
        let refused = address.connection().unwrap_err().to_string();
        assert!(refused.contains("cannot be read"), "{refused}");
        std::fs::write(&file, "# made by hand\n\na:b@127.0.0.1:4500\n").unwrap();
        assert_eq!(address.connection().unwrap(), "a:b@127.0.0.1:4500");
        for wrong in ["", "127.0.0.1:4500\n", "a:b@h:1\nc:d@h:2\n"] {
            std::fs::write(&file, wrong).unwrap();
            let refused = address.connection().unwrap_err().to_string();
            assert!(refused.contains("description:id@host"), "{refused}");
        }
    }
}
