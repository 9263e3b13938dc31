//! UpdateFeatures (API key 57), versions 0 to 2: KIP-584, KIP-778, KIP-1022. Also which features there are.
//!
//! A feature is told of if it changes what clients may ask for and is served by this build. Each has one level, since
//! what the cluster's log may hold is settled by its own metadata version, so that no update changes anything.

use futures::FutureExt;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{ApiKey, UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;

use super::admin::Rejection;
use super::{APIS, Answer, Api, Call, Handler};
use crate::topology;

pub(super) const API: Api = Api {
    key: ApiKey::UpdateFeatures,
    versions: 0..=2,
    handler: Handler::InTurn(|call| async move { handle(&call) }.boxed()),
};

/// Kafka's features, the level that is served here, and an API that is served if the feature is.
const FEATURES: &[(&str, i16, ApiKey)] = &[
    ("group.version", 1, ApiKey::ConsumerGroupHeartbeat),
    ("share.version", 1, ApiKey::ShareGroupHeartbeat),
    ("transaction.version", 2, ApiKey::TxnOffsetCommit),
];

/// The features that are served, each with its only level.
pub(super) fn features() -> impl Iterator<Item = (&'static str, i16)> {
    let is_served = |key| APIS.iter().any(|api| api.key == key);
    let served = FEATURES.iter().filter(move |(_, _, key)| is_served(*key));
    served.map(|&(name, level, _)| (name, level))
}

fn handle(call: &Call) -> Answer {
    let body: UpdateFeaturesRequest = call.request.decode()?;
    let controller = call
        .broker
        .replica()
        .read(|state| topology::controller(&topology::nodes(state)));
    let features: Vec<(&str, i16)> = features().collect();
    let updates = &body.feature_updates;
    let refused = updates
        .iter()
        .find_map(|update| judge(&features, update, controller).err());
    call.request
        .respond(&respond(updates, refused, call.request.version()))
}

/// As in Kafka, one update that is refused refuses all.
fn respond(
    updates: &[FeatureUpdateKey],
    refused: Option<Rejection>,
    version: i16,
) -> UpdateFeaturesResponse {
    if let Some(rejection) = refused {
        let message = format!(
            "The update failed for all features since the following feature had an error: {}",
            rejection.message
        );
        return UpdateFeaturesResponse::default()
            .with_error_code(rejection.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    // Version 2 tells of features only if something is wrong.
    let told = updates.iter().filter(|_| version < 2).map(|update| {
        UpdatableFeatureResult::default()
            .with_feature(update.feature.clone())
            .with_error_message(None)
    });
    UpdateFeaturesResponse::default()
        .with_error_message(None)
        .with_results(told.collect())
}

fn judge(
    features: &[(&str, i16)],
    update: &FeatureUpdateKey,
    controller: i32,
) -> Result<(), Rejection> {
    let (name, wanted) = (update.feature.as_str(), update.max_version_level);
    let known = features.iter().find(|(feature, _)| *feature == name);
    let why = match known {
        Some((_, level)) if *level == wanted => return Ok(()),
        Some((_, level)) => format!("only supports versions {level}-{level}"),
        None => "does not support this feature.".to_owned(),
    };
    let message = format!(
        "Invalid update version {wanted} for feature {name}. Local controller {controller} {why}"
    );
    Err(Rejection::new(ResponseError::InvalidUpdateVersion, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(feature: &'static str, level: i16) -> FeatureUpdateKey {
        FeatureUpdateKey::default()
            .with_feature(StrBytes::from_static_str(feature))
            .with_max_version_level(level)
    }

    #[test]
    fn only_the_level_in_force_can_be_asked_for() {
        let features = [("group.version", 1)];
        let judged = |feature, level| judge(&features, &update(feature, level), 3);
        assert_eq!(judged("group.version", 1), Ok(()));
        for (feature, level, why) in [
            ("group.version", 0, "only supports versions 1-1"),
            ("metadata.version", 27, "does not support this feature."),
        ] {
            let message = format!(
                "Invalid update version {level} for feature {feature}. Local controller 3 {why}"
            );
            let refused = Rejection::new(ResponseError::InvalidUpdateVersion, message);
            assert_eq!(judged(feature, level), Err(refused));
        }
    }

    #[test]
    fn one_update_that_is_refused_refuses_all() {
        let updates = [update("group.version", 1), update("x", 1)];
        assert_eq!(respond(&updates, None, 1).results.len(), 2);
        assert_eq!(respond(&updates, None, 2).results.len(), 0);
        let refused = Rejection::new(ResponseError::InvalidUpdateVersion, "no.");
        let response = respond(&updates, Some(refused), 2);
        assert_eq!(response.error_code, 95);
        assert_eq!(
            response.error_message.as_deref(),
            Some(
                "The update failed for all features since the following feature had an error: no."
            )
        );
    }
}
