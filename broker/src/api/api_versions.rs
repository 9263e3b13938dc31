//! ApiVersions (API key 18), versions 0 to 4: KIP-35, KIP-511, KIP-584.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::update_features::features;
use super::{APIS, Answer, Api, Call, Handler};
use crate::net::ClientSoftware;
use crate::wire::encode_response;

pub(super) const API: Api = Api {
    key: ApiKey::ApiVersions,
    versions: 0..=4,
    handler: Handler::InTurn(|call| async move { handle(&call) }.boxed()),
};

/// Features change with the build only, so every answer of this build is as new as any other.
const FEATURES_EPOCH: i64 = 0;

/// What a KIP-511 client library may call itself.
fn is_legal_software(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    word.chars().all(inner) && edge(word.chars().next()) && edge(word.chars().next_back())
}

fn handle(call: &Call) -> Answer {
    let request = &call.request;
    if !API.versions.contains(&request.version()) {
        // A newer client asks again in a version it finds here, in the format of version 0.
        let body = served().with_error_code(ResponseError::UnsupportedVersion.code());
        return encode_response(ApiKey::ApiVersions, 0, request.correlation_id(), &body);
    }
    let body: ApiVersionsRequest = request.decode()?;
    if request.version() >= 3 {
        let (name, version) = (&body.client_software_name, &body.client_software_version);
        if !is_legal_software(name) || !is_legal_software(version) {
            let error_code = ResponseError::InvalidRequest.code();
            return request.respond(&ApiVersionsResponse::default().with_error_code(error_code));
        }
        let software = ClientSoftware {
            name: name.to_string(),
            version: version.to_string(),
        };
        call.connection.set_software(software);
    }
    request.respond(&served())
}

fn served() -> ApiVersionsResponse {
    let version = |api: &Api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(*api.versions.start())
            .with_max_version(*api.versions.end())
    };
    let mut versions: Vec<ApiVersion> = APIS.iter().map(version).collect();
    versions.sort_by_key(|v| v.api_key);
    let supported = features().map(|(name, level)| {
        SupportedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version(level)
            .with_max_version(level)
    });
    let finalized = features().map(|(name, level)| {
        FinalizedFeatureKey::default()
            .with_name(StrBytes::from_static_str(name))
            .with_min_version_level(level)
            .with_max_version_level(level)
    });
    ApiVersionsResponse::default()
        .with_api_keys(versions)
        .with_supported_features(supported.collect())
        .with_finalized_features(finalized.collect())
        .with_finalized_features_epoch(FEATURES_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kip_511() {
        for legal in ["apache-kafka-java", "4.1.1", "a", "sarama"] {
            assert!(is_legal_software(legal), "{legal}");
        }
        for illegal in ["", "-a", "a-", "a b", "a/b", "ä"] {
            assert!(!is_legal_software(illegal), "{illegal}");
        }
    }

    #[test]
    fn every_api_is_registered_once_and_within_what_can_be_decoded() {
        for (i, api) in APIS.iter().enumerate() {
            assert!(
                APIS[i + 1..].iter().all(|other| other.key != api.key),
                "{:?}",
                api.key
            );
            let known = api.key.valid_versions();
            let within = known.min <= *api.versions.start() && *api.versions.end() <= known.max;
            assert!(within, "{:?} knows {known:?}", api.key);
        }
    }
}
