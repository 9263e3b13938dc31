//! A refused batch in the response: error code, message and, where records are to blame, which (KIP-467).

use control_plane::state::BatchRejection;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::ProduceError;

/// From this version on a client knows TRANSACTION_ABORTABLE (KIP-890).
const KNOWS_ABORTABLE_SINCE: i16 = 11;

pub(super) fn refusal(
    response: PartitionProduceResponse,
    error: &ProduceError,
    version: i16,
) -> PartitionProduceResponse {
    let code = match error {
        ProduceError::Rejected(BatchRejection::NotInTransaction)
            if version >= KNOWS_ABORTABLE_SINCE =>
        {
            ResponseError::TransactionAbortable.code()
        }
        error => error.code(),
    };
    let message = StrBytes::from_string(error.to_string());
    let records = match error {
        ProduceError::Keyless(keyless) => {
            let reason = StrBytes::from_string(keyless.reason());
            let named = keyless.named.iter();
            named.map(|index| to_blame(*index, &reason)).collect()
        }
        // The batch is refused as a whole, so its first record stands for all.
        ProduceError::Batch(_) | ProduceError::Timestamp(_) => vec![to_blame(0, &message)],
        _ => vec![],
    };
    response
        .with_error_code(code)
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_record_errors(records)
        .with_error_message(Some(message))
}

fn to_blame(index: i32, message: &StrBytes) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage::default()
        .with_batch_index(index)
        .with_batch_index_error_message(Some(message.clone()))
}
