//! The tables against the decoder they protect, and the walk against lies.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, Request as CrateRequest};
use proptest::prelude::*;

use super::walk::ELEMENTS_MAX;
use super::*;
use crate::wire::reader::Reader;
use crate::wire::{Request, WireError, decode_request};

/// Calls `$check::<T>()` for every request that the tables and the decoder have in common.
macro_rules! for_each_request {
    ($check:ident: $($request:ident)*) => { $($check::<$request>();)* };
    ($check:ident) => {
        for_each_request!($check:
            ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest
            OffsetFetchRequest FindCoordinatorRequest JoinGroupRequest HeartbeatRequest
            LeaveGroupRequest SyncGroupRequest DescribeGroupsRequest ListGroupsRequest
            SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest
            DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest
            AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest
            TxnOffsetCommitRequest DescribeAclsRequest CreateAclsRequest DeleteAclsRequest
            DescribeConfigsRequest AlterConfigsRequest AlterReplicaLogDirsRequest
            DescribeLogDirsRequest SaslAuthenticateRequest CreatePartitionsRequest
            CreateDelegationTokenRequest RenewDelegationTokenRequest
            ExpireDelegationTokenRequest DescribeDelegationTokenRequest DeleteGroupsRequest
            ElectLeadersRequest IncrementalAlterConfigsRequest
            AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest
            OffsetDeleteRequest DescribeClientQuotasRequest AlterClientQuotasRequest
            DescribeUserScramCredentialsRequest AlterUserScramCredentialsRequest
            DescribeQuorumRequest UpdateFeaturesRequest DescribeClusterRequest
            DescribeProducersRequest UnregisterBrokerRequest DescribeTransactionsRequest
            ListTransactionsRequest ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest
            GetTelemetrySubscriptionsRequest PushTelemetryRequest ListConfigResourcesRequest
            DescribeTopicPartitionsRequest ShareGroupHeartbeatRequest ShareGroupDescribeRequest
            ShareFetchRequest ShareAcknowledgeRequest AddRaftVoterRequest RemoveRaftVoterRequest
            DescribeShareGroupOffsetsRequest AlterShareGroupOffsetsRequest
            DeleteShareGroupOffsetsRequest)
    };
}

/// Writes a request of random content that its shape allows.
struct Writer {
    out: BytesMut,
    version: i16,
    flexible: bool,
    seed: u64,
}

impl Writer {
    fn request(shape: &Shape, version: i16, seed: u64) -> Bytes {
        let flexible = shape.is_flexible(version);
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut writer = Self {
            out: BytesMut::new(),
            version,
            flexible,
            seed,
        };
        writer.structure(shape.fields);
        writer.out.freeze()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) % bound
    }

    fn structure(&mut self, fields: &'static [Field]) {
        let version = self.version;
        let present = |field: &&Field| field.versions.contains(version);
        for field in fields
            .iter()
            .filter(present)
            .filter(|field| field.tag.is_none())
        {
            self.value(&field.kind, field.nullable.contains(version));
        }
        if self.flexible {
            self.tagged_fields(fields.iter().filter(present));
        }
    }

    fn tagged_fields(&mut self, fields: impl Iterator<Item = &'static Field>) {
        let tagged: Vec<_> = fields
            .filter(|field| field.tag.is_some() && self.below(2) == 0)
            .collect();
        let unknown = self.below(2) as u32;
        self.varint(tagged.len() as u32 + unknown);
        for field in tagged {
            let before = std::mem::take(&mut self.out);
            self.value(&field.kind, field.nullable.contains(self.version));
            let value = std::mem::replace(&mut self.out, before);
            self.varint(field.tag.unwrap());
            self.varint(value.len() as u32);
            self.out.put_slice(&value);
        }
        if unknown == 1 {
            self.varint(200);
            self.varint(3);
            self.out.put_slice(b"new");
        }
    }

    fn value(&mut self, kind: &'static Kind, nullable: bool) {
        let null = nullable && self.below(4) == 0;
        match kind {
            Kind::String if null => self.length16(None),
            Kind::Bytes | Kind::Records | Kind::Array(_) if null => self.length32(None),
            Kind::String => {
                let length = self.below(20) as usize;
                self.length16(Some(length));
                self.out.put_bytes(b'x', length);
            }
            Kind::Bytes | Kind::Records => {
                let length = self.below(200) as usize;
                self.length32(Some(length));
                self.out.put_bytes(0, length);
            }
            Kind::Array(element) => {
                let count = self.below(4) as usize;
                self.length32(Some(count));
                (0..count).for_each(|_| self.value(element, false));
            }
            Kind::Struct(fields) => {
                if nullable {
                    self.out.put_i8(if null { -1 } else { 1 });
                }
                if !null {
                    self.structure(fields);
                }
            }
            Kind::Bool => {
                let value = self.below(2) as u8;
                self.out.put_u8(value);
            }
            fixed => {
                for _ in 0..fixed.fixed_bytes().unwrap() {
                    let byte = self.below(100) as u8;
                    self.out.put_u8(byte);
                }
            }
        }
    }

    fn length16(&mut self, length: Option<usize>) {
        match length {
            _ if self.flexible => self.varint(length.map_or(0, |length| length as u32 + 1)),
            None => self.out.put_i16(-1),
            Some(length) => self.out.put_i16(length as i16),
        }
    }

    fn length32(&mut self, length: Option<usize>) {
        match length {
            _ if self.flexible => self.varint(length.map_or(0, |length| length as u32 + 1)),
            None => self.out.put_i32(-1),
            Some(length) => self.out.put_i32(length as i32),
        }
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }
}

fn shape_of<T: CrateRequest>() -> &'static Shape {
    Shape::of(T::KEY).unwrap_or_else(|| panic!("no shape for API key {}", T::KEY))
}

fn walk_all(shape: &Shape, version: i16, body: &[u8]) -> Result<Walked, WireError> {
    walk(shape, version, &mut Reader::new(body))
}

/// The versions that both the table and the decoder have.
fn versions<T: CrateRequest>() -> impl Iterator<Item = i16> {
    let shape = shape_of::<T>();
    (T::VERSIONS.min..=T::VERSIONS.max).filter(|version| shape.has_version(*version))
}

#[test]
fn every_version_of_the_decoder_is_in_the_tables() {
    fn check<T: CrateRequest>() {
        let shape = shape_of::<T>();
        for version in T::VERSIONS.min..=T::VERSIONS.max {
            assert!(
                shape.has_version(version),
                "{} version {version}",
                shape.name
            );
            let header_version = T::header_version(version);
            assert_eq!(
                shape.is_flexible(version),
                header_version == 2,
                "{}",
                shape.name
            );
        }
    }
    for_each_request!(check);
}

#[test]
fn what_the_decoder_encodes_is_walked_to_its_end() {
    fn check<T: CrateRequest + Default>() {
        for version in versions::<T>() {
            let mut body = BytesMut::new();
            T::default().encode(&mut body, version).unwrap();
            let shape = shape_of::<T>();
            walk_all(shape, version, &body)
                .unwrap_or_else(|error| panic!("{} version {version}: {error}", shape.name));
        }
    }
    for_each_request!(check);
}

/// The tables come from Kafka's schemas and the decoder from a generator of its own. That random
/// content of a shape decodes to the exact end, and comes back as it was, says that they agree on
/// every field.
#[test]
fn what_the_tables_describe_is_what_the_decoder_decodes() {
    fn check<T: CrateRequest + PartialEq + std::fmt::Debug>() {
        let shape = shape_of::<T>();
        for version in versions::<T>() {
            for seed in 0..50 {
                let context = format!("{} version {version} seed {seed}", shape.name);
                let body = Writer::request(shape, version, seed);
                walk_all(shape, version, &body)
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                let mut rest = body.clone();
                let decoded = T::decode(&mut rest, version)
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(
                    rest.is_empty(),
                    "{context}: the decoder leaves {} bytes",
                    rest.len()
                );
                let mut encoded = BytesMut::new();
                decoded.encode(&mut encoded, version).unwrap();
                walk_all(shape, version, &encoded)
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(T::decode(&mut encoded.freeze(), version).unwrap(), decoded);
            }
        }
    }
    for_each_request!(check);
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    for shape in table::TABLES.into_iter().flatten() {
        for version in shape.versions.first..=shape.versions.last {
            let body = Writer::request(shape, version, 3);
            for length in 0..body.len() {
                let cut = walk_all(shape, version, &body[..length]);
                assert!(
                    cut.is_err(),
                    "{} version {version} cut to {length}",
                    shape.name
                );
            }
            let longer = [&body[..], b"!"].concat();
            assert!(
                walk_all(shape, version, &longer).is_ok(),
                "{} version {version}: bytes behind a request are ignored",
                shape.name
            );
        }
    }
}

/// Wherever four bytes are replaced by a huge count, the walk refuses or finds them to be data; the
/// decoder then survives either way.
#[test]
fn no_lie_about_a_count_reaches_the_decoder() {
    fn check<T: CrateRequest>() {
        let shape = shape_of::<T>();
        for version in versions::<T>() {
            for seed in 0..3 {
                let body = Writer::request(shape, version, seed);
                for at in 0..body.len() {
                    for lie in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0x0f]] {
                        let mut forged = BytesMut::from(&body[..]);
                        for (place, byte) in forged[at..].iter_mut().zip(lie) {
                            *place = byte;
                        }
                        let forged = forged.freeze();
                        if walk_all(shape, version, &forged).is_ok() {
                            drop(T::decode(&mut forged.clone(), version));
                        }
                    }
                }
            }
        }
    }
    for_each_request!(check);
}

#[test]
fn an_array_longer_than_the_request_is_refused() {
    let metadata = Shape::of(ApiKey::Metadata as i16).unwrap();
    let refused = walk_all(metadata, 1, &[0x7f, 0xff, 0xff, 0xff]);
    let claimed = i32::MAX as u64;
    assert_eq!(
        refused,
        Err(WireError::Overlong {
            what: "Topics",
            claimed,
            possible: 0
        })
    );
}

#[test]
fn more_than_a_million_elements_are_refused_though_their_bytes_are_there() {
    let delete = Shape::of(ApiKey::DeleteTopics as i16).unwrap();
    let body = |count: usize| {
        let mut body = BytesMut::new();
        body.put_i32(count as i32);
        body.put_bytes(0, 2 * count); // empty names
        body.put_i32(1_000);
        body
    };
    let walked = walk_all(delete, 1, &body(ELEMENTS_MAX)).unwrap();
    assert_eq!(walked.elements, ELEMENTS_MAX);
    assert!(walked.decoded_bytes > 16 * ELEMENTS_MAX, "{walked:?}");
    assert!(matches!(
        walk_all(delete, 1, &body(ELEMENTS_MAX + 1)),
        Err(WireError::Overlong {
            what: "TopicNames",
            ..
        })
    ));
}

#[test]
fn a_tagged_field_of_the_wrong_size_is_refused() {
    let fetch = Shape::of(ApiKey::Fetch as i16).unwrap();
    let mut body = BytesMut::new();
    FetchRequest::default()
        .with_cluster_id(Some("cluster".to_string().into()))
        .encode(&mut body, 12)
        .unwrap();
    walk_all(fetch, 12, &body).unwrap();
    let size = body
        .windows(3)
        .rposition(|bytes| bytes == [0, 8, 8])
        .unwrap()
        + 1;
    body[size] = 7;
    assert!(walk_all(fetch, 12, &body).is_err());
}

fn frame(api_key: i16, version: i16, rest: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(api_key);
    frame.put_i16(version);
    frame.put_i32(99);
    frame.put_slice(rest);
    frame.freeze()
}

#[test]
fn a_request_is_decoded_with_its_header() {
    let body = Writer::request(Shape::of(3).unwrap(), 12, 1);
    let rest = [b"\x00\x03cli\x01\x05\x02??".as_slice(), &body].concat();
    let request = decode_request(frame(3, 12, &rest)).unwrap();
    assert_eq!(request.api_key(), ApiKey::Metadata);
    assert_eq!((request.version(), request.correlation_id()), (12, 99));
    assert_eq!(request.client_id().map(|id| id.as_str()), Some("cli"));
    assert_eq!(request.body_bytes(), body.len());
    let decoded: MetadataRequest = request.decode().unwrap();
    assert_eq!(decoded, Request::decode(&request).unwrap());
    let mistaken = request.decode::<FetchRequest>();
    assert!(
        matches!(mistaken, Err(WireError::Decode { .. })),
        "{mistaken:?}"
    );
}

#[test]
fn headers_that_lie_or_make_no_sense_are_refused() {
    let refused = |frame| decode_request(frame).unwrap_err();
    assert_eq!(
        refused(frame(999, 0, b"\xff\xff")),
        WireError::UnknownApi(999)
    );
    assert_eq!(
        refused(frame(-1, 0, b"\xff\xff")),
        WireError::UnknownApi(-1)
    );
    // ControlledShutdown: known to Kafka's enumeration, but no version of it is left.
    assert_eq!(refused(frame(7, 0, b"\xff\xff")), WireError::UnknownApi(7));
    assert!(matches!(
        refused(frame(0, 99, b"\xff\xff")),
        WireError::UnsupportedVersion {
            api: "Produce",
            version: 99
        }
    ));
    assert!(matches!(
        refused(frame(3, 1, b"\x7f\xffx")),
        WireError::Truncated("client id")
    ));
    assert!(matches!(
        refused(frame(3, 1, b"\xff\xfe")),
        WireError::Impossible { .. }
    ));
    assert!(matches!(
        refused(frame(3, 1, b"\x00\x01\xff")),
        WireError::Impossible { .. }
    ));
    let tags = b"\xff\xff\xff\xff\xff\xff\x0f";
    assert!(matches!(
        refused(frame(3, 12, tags)),
        WireError::Truncated(_)
    ));
    assert!(matches!(
        refused(Bytes::from_static(b"\x00")),
        WireError::Truncated("API key")
    ));
}

#[test]
fn an_api_versions_request_from_the_future_gets_through_undecoded() {
    let request = decode_request(frame(18, 77, b"\x00\x01c what may this be?")).unwrap();
    assert_eq!(
        (request.api_key(), request.version()),
        (ApiKey::ApiVersions, 77)
    );
    assert_eq!(request.body_bytes(), 0);
    let decoded = request.decode::<ApiVersionsRequest>();
    assert_eq!(decoded.unwrap_err(), request.unsupported());
}

proptest! {
    /// Bytes of any kind are refused or decoded, and never panic or abort.
    #[test]
    fn random_bytes_do_no_harm(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        small in proptest::collection::vec(0u8..4, 0..200),
    ) {
        fn check<T: CrateRequest>(body: &[u8]) {
            for version in versions::<T>() {
                if walk_all(shape_of::<T>(), version, body).is_ok() {
                    drop(T::decode(&mut Bytes::copy_from_slice(body), version));
                }
            }
        }
        for body in [&body, &small] {
            check::<ProduceRequest>(body);
            check::<FetchRequest>(body);
            check::<MetadataRequest>(body);
            check::<CreateTopicsRequest>(body);
            check::<OffsetCommitRequest>(body);
            check::<AddPartitionsToTxnRequest>(body);
            check::<ConsumerGroupHeartbeatRequest>(body);
            drop(decode_request(Bytes::copy_from_slice(body)));
        }
    }
}
