//! Produce (API key 0), versions 3 to 13: KIP-98, KIP-467, KIP-516 (topic ids from 13), KIP-890, KIP-951.
//!
//! Every batch of a request is judged by itself. Positions are fixed while the request is taken, in the order of the
//! connection; the response waits for all its batches or the request's timeout, whichever is first.

use std::time::Duration;

use bytes::Bytes;
use control_plane::replica::Session;
use control_plane::state::{BatchMeta, BatchProducer, WriteKind};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use object_format::batch::{BatchHeader, Codec};
use object_format::{TopicId, TopicPartition};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pipeline::Acknowledgement;
use super::refusal::refusal;
use super::validate::{self, ValidBatch};
use super::{Pipeline, ProduceError, Stored, metrics};
use crate::config::in_force::Dynamic;
use crate::config::{TopicConfig, TopicDefaults};
use crate::net::{Pending, Reply, RequestPermit};
use crate::wire::{Request, ResponseBytes, WireError};

/// A batch that was taken or refused.
enum Taken {
    Pending {
        acknowledgement: oneshot::Receiver<Acknowledgement>,
        log_append_time_ms: i64,
    },
    Refused(ProduceError),
}

/// A batch that may be stored.
struct Good {
    partition: TopicPartition,
    batch: ValidBatch,
    meta: BatchMeta,
}

/// A topic of a request, each of its batches judged.
struct JudgedTopic {
    response: TopicProduceResponse,
    partitions: Vec<(i32, Result<Good, ProduceError>)>,
}

/// A topic that is there.
struct Known {
    id: TopicId,
    name: String,
    config: TopicConfig,
}

struct TakenTopic {
    response: TopicProduceResponse,
    partitions: Vec<(i32, Taken)>,
}

/// From this version on a transactional batch adds its partition to the transaction (KIP-890).
const JOINS_TRANSACTION_SINCE: i16 = 12;

/// Before this version clients do not know zstd, and those that sent it would not read it back (KIP-110).
const ZSTD_SINCE: i16 = 7;

/// From this version on topics are told by their ids (KIP-516).
const TOPIC_IDS_SINCE: i16 = 13;

/// So much beside what is stored of a request is no matter.
const BESIDE_BYTES: usize = 1 << 10;

/// What all batches of a request are judged by.
struct Intake<'a> {
    version: i16,
    pipeline: &'a Pipeline,
    session: &'a Session,
    defaults: &'a TopicDefaults,
    now_ms: i64,
    acks: i16,
    /// What its transactional batches are, if it names a transactional id.
    transactional: Option<WriteKind>,
    permit: &'a RequestPermit,
}

/// Takes a Produce request: judges its batches and fixes their positions now, answers when they are durable.
pub fn handle(
    pipeline: &Pipeline,
    session: &Session,
    defaults: &TopicDefaults,
    now_ms: i64,
    request: Request,
    permit: &RequestPermit,
) -> Result<Pending, WireError> {
    let body: ProduceRequest = request.decode()?;
    let (acks, timeout_ms) = (body.acks, body.timeout_ms);
    let intake = Intake {
        version: request.version(),
        pipeline,
        session,
        defaults,
        now_ms,
        acks,
        transactional: match body.transactional_id {
            None => None,
            Some(_) if request.version() >= JOINS_TRANSACTION_SINCE => {
                Some(WriteKind::JoinsTransaction)
            }
            Some(_) => Some(WriteKind::InTransaction),
        },
        permit,
    };
    let topics = body.topic_data.into_iter();
    let judged: Vec<JudgedTopic> = topics.map(|topic| intake.judge_topic(topic)).collect();
    // SUBTLE: what is stored is kept by the cache for longer than the request's memory is counted, and a batch keeps all of
    // the frame it came in. Of a frame that is mostly refused only what is stored is to be kept.
    let is_sparse = 2 * good_bytes(&judged) + BESIDE_BYTES < request.body_bytes();
    let take = |topic: JudgedTopic| intake.take_topic(topic, is_sparse);
    let topics: Vec<TakenTopic> = judged.into_iter().map(take).collect();
    if acks == 0 {
        return Ok(without_response(topics));
    }
    let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    Ok(Pending::concurrent(async move {
        match respond(&request, topics, timeout).await {
            Ok(response) => Reply::Response(response),
            Err(error) => Reply::Close(error.to_string()),
        }
    }))
}

/// Bytes of the batches that may be stored.
fn good_bytes(topics: &[JudgedTopic]) -> usize {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let good = partitions.filter_map(|(_, judged)| judged.as_ref().ok());
    good.map(|good| good.batch.bytes.len()).sum()
}

/// Nobody waits. As in Kafka, a refusal closes the connection: the client's only sign of it.
fn without_response(topics: Vec<TakenTopic>) -> Pending {
    let mut partitions = topics.into_iter().flat_map(|topic| topic.partitions);
    let refusal = partitions.find_map(|(_, taken)| match taken {
        Taken::Refused(error) => Some(error),
        Taken::Pending { .. } => None,
    });
    match refusal {
        Some(error) => Pending::close(format!("produced with acks=0: {error}")),
        None => Pending::Ready(Reply::None),
    }
}

impl Intake<'_> {
    fn judge_topic(&self, topic: TopicProduceData) -> JudgedTopic {
        let response = TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id);
        let known = match self.acks {
            -1..=1 => self.find(&topic),
            _ => Err(ProduceError::Acks),
        };
        let judge = |data: PartitionProduceData| {
            let index = data.index;
            let judged = match &known {
                Ok(topic) => self.judge(topic, data),
                Err(error) => Err(error.clone()),
            };
            (index, judged)
        };
        let partitions = topic.partition_data.into_iter().map(judge).collect();
        JudgedTopic {
            response,
            partitions,
        }
    }

    /// Fixes the places of a topic's batches; copies of them, so that their frame need not be kept, if it `is_sparse`.
    fn take_topic(&self, topic: JudgedTopic, is_sparse: bool) -> TakenTopic {
        let take = |(index, judged): (i32, Result<Good, ProduceError>)| {
            let taken = judged.map(|good| self.take(good, is_sparse));
            (index, taken.unwrap_or_else(Taken::Refused))
        };
        TakenTopic {
            response: topic.response,
            partitions: topic.partitions.into_iter().map(take).collect(),
        }
    }

    /// The topic a part of the request is for, by id if there is one.
    fn find(&self, topic: &TopicProduceData) -> Result<Known, ProduceError> {
        let agent = self.session.epoch();
        self.session.replica().read(|state| {
            let (id, topic) = if self.version < TOPIC_IDS_SINCE {
                let named = state.topic_named(&topic.name);
                named.ok_or(ProduceError::UnknownPartition)?
            } else {
                let id = TopicId(topic.topic_id);
                (id, state.topic(id).ok_or(ProduceError::UnknownTopicId)?)
            };
            let config = self.defaults.of(topic, Dynamic::of(state, agent));
            // Only what is compacted is called by its name.
            let name = match config.is_compacted {
                true => topic.name.clone(),
                false => String::new(),
            };
            Ok(Known { id, name, config })
        })
    }

    fn judge(&self, topic: &Known, data: PartitionProduceData) -> Result<Good, ProduceError> {
        let partition = u32::try_from(data.index).map_err(|_| ProduceError::UnknownPartition)?;
        let partition = TopicPartition {
            topic: topic.id,
            partition,
        };
        let replica = self.session.replica();
        if replica.read(|state| state.partition(partition).is_none()) {
            return Err(ProduceError::UnknownPartition);
        }
        let name = || format!("{}-{}", topic.name, data.index);
        let valid = validate::validate(data.records, &topic.config, self.now_ms, name)?;
        if self.version < ZSTD_SINCE && valid.header.codec() == Some(Codec::Zstd) {
            return Err(ProduceError::ZstdTooEarly);
        }
        let kind = match valid.header.is_transactional() {
            true => self.transactional.ok_or(ProduceError::NoTransactionalId)?,
            false => WriteKind::Plain,
        };
        Ok(Good {
            partition,
            meta: batch_meta(&valid.header, valid.bytes.len(), kind),
            batch: valid,
        })
    }

    fn take(&self, good: Good, is_sparse: bool) -> Taken {
        let Good {
            partition,
            batch,
            meta,
        } = good;
        let records = batch.header.record_count.unsigned_abs();
        metrics::produced(batch.bytes.len(), records.into());
        let bytes = match is_sparse {
            true => Bytes::copy_from_slice(&batch.bytes),
            false => batch.bytes,
        };
        let acknowledgement = self
            .pipeline
            .add(partition, bytes, &batch.header, meta, self.permit);
        Taken::Pending {
            acknowledgement,
            log_append_time_ms: batch.log_append_time_ms,
        }
    }
}

fn batch_meta(header: &BatchHeader, bytes: usize, kind: WriteKind) -> BatchMeta {
    let producer = header.has_producer().then_some(BatchProducer {
        id: header.producer_id,
        epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        kind,
    });
    BatchMeta {
        bytes: bytes as u32,
        records: header.record_count.unsigned_abs(),
        max_timestamp: header.max_timestamp,
        producer,
    }
}

async fn respond(
    request: &Request,
    topics: Vec<TakenTopic>,
    timeout: Duration,
) -> Result<ResponseBytes, WireError> {
    let deadline = tokio::time::sleep(timeout).deadline();
    let mut responses = Vec::with_capacity(topics.len());
    let mut error_code = 0;
    for TakenTopic {
        response,
        partitions,
    } in topics
    {
        let mut answered = Vec::with_capacity(partitions.len());
        for (index, taken) in partitions {
            let partition = answer(index, taken, deadline, request.version()).await;
            if partition.error_code != 0 {
                error_code = partition.error_code;
            }
            answered.push(partition);
        }
        responses.push(response.with_partition_responses(answered));
    }
    let body = ProduceResponse::default().with_responses(responses);
    Ok(request.respond(&body)?.with_error_code(error_code))
}

/// What became of one batch, as far as it is known at the deadline.
async fn answer(
    index: i32,
    taken: Taken,
    deadline: Instant,
    version: i16,
) -> PartitionProduceResponse {
    let (acknowledgement, log_append_time_ms) = match taken {
        Taken::Refused(error) => (Err(error), -1),
        Taken::Pending {
            acknowledgement,
            log_append_time_ms,
        } => {
            let settled = match tokio::time::timeout_at(deadline, acknowledgement).await {
                Ok(Ok(acknowledgement)) => acknowledgement,
                Ok(Err(_)) => Err(ProduceError::Unable("it stopped".into())),
                Err(_) => Err(ProduceError::TimedOut),
            };
            (settled, log_append_time_ms)
        }
    };
    let response = PartitionProduceResponse::default().with_index(index);
    match acknowledgement {
        Ok(Stored {
            base_offset,
            log_start_offset,
        }) => response
            .with_base_offset(base_offset)
            .with_log_append_time_ms(log_append_time_ms)
            .with_log_start_offset(log_start_offset),
        Err(error) => refusal(response, &error, version),
    }
}
