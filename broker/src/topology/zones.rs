//! Which zone a client is in. Metadata carries no rack, so there are three sources, and the first that names a zone wins:
//!
//! 1. the client id, in the syntax of any diskless broker (table `DIALECTS`);
//! 2. `client.rack`, once a Fetch on the same connection has carried it (KIP-392);
//! 3. the client's address, by the blocks of `client.zone.cidrs`.
//!
//! A zone without agents is as good as none: the client is shown all of them.

use std::net::IpAddr;

/// How users of a diskless broker write the zone into a client id.
struct Dialect {
    key: &'static str,
    /// What ends the value.
    separators: &'static [char],
    /// Whether the value is escaped as in the query of a URL.
    is_escaped: bool,
}

const fn dialect(key: &'static str, separators: &'static [char]) -> Dialect {
    Dialect {
        key,
        separators,
        is_escaped: false,
    }
}

/// In the order in which they are looked for; of several zones in one client id the first from the left counts.
const DIALECTS: [Dialect; 5] = [
    // WarpStream: pairs separated by commas.
    dialect("warpstream_az", &[',']),
    dialect("ws_az", &[',']),
    // Inkless: after a comma or a space, up to one of them.
    dialect("diskless_az", &[',', ' ', '=']),
    // Bufstream: pairs separated by commas or semicolons.
    dialect("zone", &[',', ';']),
    // AutoMQ: a URL's query.
    Dialect {
        key: "automq_az",
        separators: &['&'],
        is_escaped: true,
    },
];

/// What may stand before a key: the separators of all dialects.
const BEFORE_KEY: [char; 4] = [',', ';', '&', ' '];

/// Where a value is cut if it is no zone as it stands: clients append to their ids (`-StreamThread-1-consumer`).
const CUTS: [char; 5] = ['-', ',', ';', '&', ' '];

/// The zone that a client id names. `is_zone` says which zones there are, for telling a zone from what follows it.
pub(crate) fn zone_in_client_id(client_id: &str, is_zone: impl Fn(&str) -> bool) -> Option<String> {
    let starts = client_id.char_indices().filter(|&(at, _)| {
        let before = client_id[..at].chars().next_back();
        before.is_none_or(|c| BEFORE_KEY.contains(&c))
    });
    let mut named = starts.filter_map(|(at, _)| value_at(&client_id[at..]));
    let named = named.next()?;
    let mut candidate = named.as_str();
    while !is_zone(candidate) {
        match candidate.rfind(CUTS) {
            Some(cut) => candidate = &candidate[..cut],
            None => return Some(named),
        }
    }
    Some(candidate.to_owned())
}

/// The value of the pair that `text` begins with, if its key is one of the dialects'.
fn value_at(text: &str) -> Option<String> {
    let (dialect, rest) = DIALECTS.iter().find_map(|dialect| {
        let rest = text.strip_prefix(dialect.key)?.strip_prefix('=')?;
        Some((dialect, rest))
    })?;
    let value = rest.split(dialect.separators).next().unwrap_or_default();
    let value = match dialect.is_escaped {
        true => unescape(value),
        false => value.to_owned(),
    };
    (!value.is_empty()).then_some(value)
}

/// Undoes `application/x-www-form-urlencoded`; what is not escaped properly stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|digits| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(escaped) => {
                plain.push(escaped);
                at += 3;
            }
            None => {
                plain.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

/// Blocks of addresses and the zones they are in: `client.zone.cidrs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZoneBlocks(Vec<Block>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    address: IpAddr,
    prefix: u8,
    zone: String,
}

impl ZoneBlocks {
    /// Reads blocks written as `ADDRESS/PREFIX=ZONE`.
    ///
    /// # Errors
    /// What is wrong with the first that is none, or is there twice with different zones.
    pub fn parse(entries: &[String]) -> Result<Self, String> {
        let mut blocks: Vec<Block> = Vec::new();
        for entry in entries {
            let block = Block::parse(entry).map_err(|why| {
                format!("client.zone.cidrs: {entry:?} {why}; write ADDRESS/PREFIX=ZONE, such as 10.0.0.0/19=us-east-1a")
            })?;
            let same = |b: &&Block| b.address == block.address && b.prefix == block.prefix;
            if let Some(other) = blocks.iter().find(same)
                && other.zone != block.zone
            {
                let (one, two) = (&other.zone, &block.zone);
                return Err(format!(
                    "client.zone.cidrs: {entry:?} is in zone {one} and in zone {two}"
                ));
            }
            blocks.push(block);
        }
        blocks.sort_by_key(|block| std::cmp::Reverse(block.prefix));
        Ok(Self(blocks))
    }

    /// The zone of an address: that of the smallest block it is in.
    pub fn zone_of(&self, address: IpAddr) -> Option<&str> {
        let address = address.to_canonical();
        let block = self.0.iter().find(|block| block.contains(address))?;
        Some(&block.zone)
    }
}

impl Block {
    fn parse(entry: &str) -> Result<Self, String> {
        let (block, zone) = entry.split_once('=').ok_or("names no zone")?;
        let (block, zone) = (block.trim(), zone.trim());
        if zone.is_empty() || zone.contains('=') {
            return Err("names no zone".into());
        }
        let (address, prefix) = block.split_once('/').ok_or("has no prefix length")?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("has no IP address before the /: {address:?}"))?;
        let bits_max = bits(address).1;
        let prefix = prefix
            .parse::<u8>()
            .ok()
            .filter(|&prefix| prefix <= bits_max)
            .ok_or_else(|| format!("has a prefix length that is not 0 to {bits_max}"))?;
        if address.to_canonical() != address {
            return Err("is an IPv4 address written as IPv6: write the IPv4 block".into());
        }
        let first = masked(address, prefix);
        if first != bits(address).0 {
            return Err("has bits set beyond its prefix".into());
        }
        Ok(Self {
            address,
            prefix,
            zone: zone.to_owned(),
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.prefix) == bits(self.address).0
    }
}

/// An address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// An address with only its first `prefix` bits.
fn masked(address: IpAddr, prefix: u8) -> u128 {
    let (number, bits_max) = bits(address);
    let rest = u32::from(bits_max.saturating_sub(prefix));
    let dropped = number.checked_shr(rest).unwrap_or(0);
    dropped.checked_shl(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests;
