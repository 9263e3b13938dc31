//! Which version of each API a broker offers (ApiVersions, KIP-35, KIP-511).

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::{StrBytes, VersionRange};

use super::connection::Connection;
use super::error::{ClientError, Result};

/// Offered version ranges by API key.
#[derive(Clone, Debug, Default)]
pub struct Versions {
    offered: BTreeMap<i16, VersionRange>,
}

const UNSUPPORTED_VERSION: i16 = 35;

impl Versions {
    /// Nothing is offered: what is known before the first answer.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Asks the broker, falling back to version 0 if it does not know ours.
    pub async fn negotiate(connection: &Connection) -> Result<Self> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("millrace"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        // SUBTLE: a broker that does not know version 3 answers in version 0 with an error code;
        // the answer in version 3 of that length does not decode.
        let answer = connection.call_version(&request, 3, Duration::ZERO).await;
        let response = match answer {
            Ok(response) if response.error_code != UNSUPPORTED_VERSION => response,
            Ok(_) | Err(ClientError::Protocol(_)) if !connection.is_closed() => {
                connection
                    .call_version(&ApiVersionsRequest::default(), 0, Duration::ZERO)
                    .await?
            }
            Ok(response) => response,
            Err(error) => return Err(error),
        };
        if !response.error_code.is_ok() {
            return Err(ClientError::broker(
                "ApiVersions",
                response.error_code,
                None,
            ));
        }
        let range = |min, max| VersionRange { min, max };
        let offered = response.api_keys.iter();
        let offered = offered
            .map(|api| (api.api_key, range(api.min_version, api.max_version)))
            .collect();
        Ok(Self { offered })
    }

    /// The highest version of an API that the broker and `known` share.
    pub fn highest(&self, api: i16, known: VersionRange) -> Option<i16> {
        let shared = self.offered.get(&api)?.intersect(&known);
        (!shared.is_empty()).then_some(shared.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(api: i16, min: i16, max: i16) -> Versions {
        Versions {
            offered: [(api, VersionRange { min, max })].into(),
        }
    }

    #[test]
    fn the_highest_shared_version_is_used() {
        let known = VersionRange { min: 3, max: 13 };
        assert_eq!(versions(0, 0, 11).highest(0, known), Some(11));
        assert_eq!(versions(0, 5, 99).highest(0, known), Some(13));
        assert_eq!(versions(0, 0, 2).highest(0, known), None);
        assert_eq!(versions(0, 0, 2).highest(1, known), None);
    }
}
