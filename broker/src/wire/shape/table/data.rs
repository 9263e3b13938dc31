//! Records and where they are: the requests' fields, version by version.
//!
//! Source: the message schemas in the kafka-clients 4.1.1 jar, `common/message/*Request.json`
//! (Apache-2.0), narrowed to what the walk needs: order, type, versions, nullability, tags.

use super::super::Kind::*;
use super::super::{Shape, field};

pub(super) const SHAPES: &[Shape] = &[
    Shape::new(
        0,
        "Produce",
        3..=13,
        9,
        &[
            field("TransactionalId", String, 3..=13).null(3..=13),
            field("Acks", Int16, 3..=13),
            field("TimeoutMs", Int32, 3..=13),
            field(
                "TopicData",
                Array(&Struct(&[
                    field("Name", String, 3..=12),
                    field("TopicId", Uuid, 13..=13),
                    field(
                        "PartitionData",
                        Array(&Struct(&[
                            field("Index", Int32, 3..=13),
                            field("Records", Records, 3..=13).null(3..=13),
                        ])),
                        3..=13,
                    ),
                ])),
                3..=13,
            ),
        ],
    ),
    Shape::new(
        1,
        "Fetch",
        4..=18,
        12,
        &[
            field("ClusterId", String, 12..=18).null(12..=18).tag(0),
            field("ReplicaId", Int32, 4..=14),
            field(
                "ReplicaState",
                Struct(&[
                    field("ReplicaId", Int32, 15..=18),
                    field("ReplicaEpoch", Int64, 15..=18),
                ]),
                15..=18,
            )
            .tag(1),
            field("MaxWaitMs", Int32, 4..=18),
            field("MinBytes", Int32, 4..=18),
            field("MaxBytes", Int32, 4..=18),
            field("IsolationLevel", Int8, 4..=18),
            field("SessionId", Int32, 7..=18),
            field("SessionEpoch", Int32, 7..=18),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Topic", String, 4..=12),
                    field("TopicId", Uuid, 13..=18),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("Partition", Int32, 4..=18),
                            field("CurrentLeaderEpoch", Int32, 9..=18),
                            field("FetchOffset", Int64, 4..=18),
                            field("LastFetchedEpoch", Int32, 12..=18),
                            field("LogStartOffset", Int64, 5..=18),
                            field("PartitionMaxBytes", Int32, 4..=18),
                            field("ReplicaDirectoryId", Uuid, 17..=18).tag(0),
                            field("HighWatermark", Int64, 18..=18).tag(1),
                        ])),
                        4..=18,
                    ),
                ])),
                4..=18,
            ),
            field(
                "ForgottenTopicsData",
                Array(&Struct(&[
                    field("Topic", String, 7..=12),
                    field("TopicId", Uuid, 13..=18),
                    field("Partitions", Array(&Int32), 7..=18),
                ])),
                7..=18,
            ),
            field("RackId", String, 11..=18),
        ],
    ),
    Shape::new(
        2,
        "ListOffsets",
        1..=10,
        6,
        &[
            field("ReplicaId", Int32, 1..=10),
            field("IsolationLevel", Int8, 2..=10),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 1..=10),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 1..=10),
                            field("CurrentLeaderEpoch", Int32, 4..=10),
                            field("Timestamp", Int64, 1..=10),
                        ])),
                        1..=10,
                    ),
                ])),
                1..=10,
            ),
            field("TimeoutMs", Int32, 10..=10),
        ],
    ),
    Shape::new(
        3,
        "Metadata",
        0..=13,
        9,
        &[
            field(
                "Topics",
                Array(&Struct(&[
                    field("TopicId", Uuid, 10..=13),
                    field("Name", String, 0..=13).null(10..=13),
                ])),
                0..=13,
            )
            .null(1..=13),
            field("AllowAutoTopicCreation", Bool, 4..=13),
            field("IncludeClusterAuthorizedOperations", Bool, 8..=10),
            field("IncludeTopicAuthorizedOperations", Bool, 8..=13),
        ],
    ),
    Shape::new(
        23,
        "OffsetForLeaderEpoch",
        2..=4,
        4,
        &[
            field("ReplicaId", Int32, 3..=4),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Topic", String, 2..=4),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("Partition", Int32, 2..=4),
                            field("CurrentLeaderEpoch", Int32, 2..=4),
                            field("LeaderEpoch", Int32, 2..=4),
                        ])),
                        2..=4,
                    ),
                ])),
                2..=4,
            ),
        ],
    ),
    Shape::new(
        75,
        "DescribeTopicPartitions",
        0..=0,
        0,
        &[
            field(
                "Topics",
                Array(&Struct(&[field("Name", String, 0..=0)])),
                0..=0,
            ),
            field("ResponsePartitionLimit", Int32, 0..=0),
            field(
                "Cursor",
                Struct(&[
                    field("TopicName", String, 0..=0),
                    field("PartitionIndex", Int32, 0..=0),
                ]),
                0..=0,
            )
            .null(0..=0),
        ],
    ),
    Shape::new(
        21,
        "DeleteRecords",
        0..=2,
        2,
        &[
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=2),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 0..=2),
                            field("Offset", Int64, 0..=2),
                        ])),
                        0..=2,
                    ),
                ])),
                0..=2,
            ),
            field("TimeoutMs", Int32, 0..=2),
        ],
    ),
    Shape::new(
        18,
        "ApiVersions",
        0..=4,
        3,
        &[
            field("ClientSoftwareName", String, 3..=4),
            field("ClientSoftwareVersion", String, 3..=4),
        ],
    ),
];
