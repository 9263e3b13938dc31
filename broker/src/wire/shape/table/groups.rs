//! Groups and their offsets: the requests' fields, version by version.
//!
//! Source: the message schemas in the kafka-clients 4.1.1 jar, `common/message/*Request.json`
//! (Apache-2.0), narrowed to what the walk needs: order, type, versions, nullability, tags.

use super::super::Kind::*;
use super::super::{Shape, field};

pub(super) const SHAPES: &[Shape] = &[
    Shape::new(
        8,
        "OffsetCommit",
        2..=10,
        8,
        &[
            field("GroupId", String, 2..=10),
            field("GenerationIdOrMemberEpoch", Int32, 2..=10),
            field("MemberId", String, 2..=10),
            field("GroupInstanceId", String, 7..=10).null(7..=10),
            field("RetentionTimeMs", Int64, 2..=4),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 2..=9),
                    field("TopicId", Uuid, 10..=10),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 2..=10),
                            field("CommittedOffset", Int64, 2..=10),
                            field("CommittedLeaderEpoch", Int32, 6..=10),
                            field("CommittedMetadata", String, 2..=10).null(2..=10),
                        ])),
                        2..=10,
                    ),
                ])),
                2..=10,
            ),
        ],
    ),
    Shape::new(
        9,
        "OffsetFetch",
        1..=10,
        6,
        &[
            field("GroupId", String, 1..=7),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 1..=7),
                    field("PartitionIndexes", Array(&Int32), 1..=7),
                ])),
                1..=7,
            )
            .null(2..=7),
            field(
                "Groups",
                Array(&Struct(&[
                    field("GroupId", String, 8..=10),
                    field("MemberId", String, 9..=10).null(9..=10),
                    field("MemberEpoch", Int32, 9..=10),
                    field(
                        "Topics",
                        Array(&Struct(&[
                            field("Name", String, 8..=9),
                            field("TopicId", Uuid, 10..=10),
                            field("PartitionIndexes", Array(&Int32), 8..=10),
                        ])),
                        8..=10,
                    )
                    .null(8..=10),
                ])),
                8..=10,
            ),
            field("RequireStable", Bool, 7..=10),
        ],
    ),
    Shape::new(
        10,
        "FindCoordinator",
        0..=6,
        3,
        &[
            field("Key", String, 0..=3),
            field("KeyType", Int8, 1..=6),
            field("CoordinatorKeys", Array(&String), 4..=6),
        ],
    ),
    Shape::new(
        11,
        "JoinGroup",
        0..=9,
        6,
        &[
            field("GroupId", String, 0..=9),
            field("SessionTimeoutMs", Int32, 0..=9),
            field("RebalanceTimeoutMs", Int32, 1..=9),
            field("MemberId", String, 0..=9),
            field("GroupInstanceId", String, 5..=9).null(5..=9),
            field("ProtocolType", String, 0..=9),
            field(
                "Protocols",
                Array(&Struct(&[
                    field("Name", String, 0..=9),
                    field("Metadata", Bytes, 0..=9),
                ])),
                0..=9,
            ),
            field("Reason", String, 8..=9).null(8..=9),
        ],
    ),
    Shape::new(
        12,
        "Heartbeat",
        0..=4,
        4,
        &[
            field("GroupId", String, 0..=4),
            field("GenerationId", Int32, 0..=4),
            field("MemberId", String, 0..=4),
            field("GroupInstanceId", String, 3..=4).null(3..=4),
        ],
    ),
    Shape::new(
        13,
        "LeaveGroup",
        0..=5,
        4,
        &[
            field("GroupId", String, 0..=5),
            field("MemberId", String, 0..=2),
            field(
                "Members",
                Array(&Struct(&[
                    field("MemberId", String, 3..=5),
                    field("GroupInstanceId", String, 3..=5).null(3..=5),
                    field("Reason", String, 5..=5).null(5..=5),
                ])),
                3..=5,
            ),
        ],
    ),
    Shape::new(
        14,
        "SyncGroup",
        0..=5,
        4,
        &[
            field("GroupId", String, 0..=5),
            field("GenerationId", Int32, 0..=5),
            field("MemberId", String, 0..=5),
            field("GroupInstanceId", String, 3..=5).null(3..=5),
            field("ProtocolType", String, 5..=5).null(5..=5),
            field("ProtocolName", String, 5..=5).null(5..=5),
            field(
                "Assignments",
                Array(&Struct(&[
                    field("MemberId", String, 0..=5),
                    field("Assignment", Bytes, 0..=5),
                ])),
                0..=5,
            ),
        ],
    ),
    Shape::new(
        15,
        "DescribeGroups",
        0..=6,
        5,
        &[
            field("Groups", Array(&String), 0..=6),
            field("IncludeAuthorizedOperations", Bool, 3..=6),
        ],
    ),
    Shape::new(
        16,
        "ListGroups",
        0..=5,
        3,
        &[
            field("StatesFilter", Array(&String), 4..=5),
            field("TypesFilter", Array(&String), 5..=5),
        ],
    ),
    Shape::new(
        42,
        "DeleteGroups",
        0..=2,
        2,
        &[field("GroupsNames", Array(&String), 0..=2)],
    ),
    Shape::new(
        47,
        "OffsetDelete",
        0..=0,
        i16::MAX,
        &[
            field("GroupId", String, 0..=0),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=0),
                    field(
                        "Partitions",
                        Array(&Struct(&[field("PartitionIndex", Int32, 0..=0)])),
                        0..=0,
                    ),
                ])),
                0..=0,
            ),
        ],
    ),
    Shape::new(
        68,
        "ConsumerGroupHeartbeat",
        0..=1,
        0,
        &[
            field("GroupId", String, 0..=1),
            field("MemberId", String, 0..=1),
            field("MemberEpoch", Int32, 0..=1),
            field("InstanceId", String, 0..=1).null(0..=1),
            field("RackId", String, 0..=1).null(0..=1),
            field("RebalanceTimeoutMs", Int32, 0..=1),
            field("SubscribedTopicNames", Array(&String), 0..=1).null(0..=1),
            field("SubscribedTopicRegex", String, 1..=1).null(1..=1),
            field("ServerAssignor", String, 0..=1).null(0..=1),
            field(
                "TopicPartitions",
                Array(&Struct(&[
                    field("TopicId", Uuid, 0..=1),
                    field("Partitions", Array(&Int32), 0..=1),
                ])),
                0..=1,
            )
            .null(0..=1),
        ],
    ),
    Shape::new(
        69,
        "ConsumerGroupDescribe",
        0..=1,
        0,
        &[
            field("GroupIds", Array(&String), 0..=1),
            field("IncludeAuthorizedOperations", Bool, 0..=1),
        ],
    ),
    Shape::new(
        76,
        "ShareGroupHeartbeat",
        1..=1,
        0,
        &[
            field("GroupId", String, 1..=1),
            field("MemberId", String, 1..=1),
            field("MemberEpoch", Int32, 1..=1),
            field("RackId", String, 1..=1).null(1..=1),
            field("SubscribedTopicNames", Array(&String), 1..=1).null(1..=1),
        ],
    ),
    Shape::new(
        77,
        "ShareGroupDescribe",
        1..=1,
        0,
        &[
            field("GroupIds", Array(&String), 1..=1),
            field("IncludeAuthorizedOperations", Bool, 1..=1),
        ],
    ),
    Shape::new(
        78,
        "ShareFetch",
        1..=1,
        0,
        &[
            field("GroupId", String, 1..=1).null(1..=1),
            field("MemberId", String, 1..=1).null(1..=1),
            field("ShareSessionEpoch", Int32, 1..=1),
            field("MaxWaitMs", Int32, 1..=1),
            field("MinBytes", Int32, 1..=1),
            field("MaxBytes", Int32, 1..=1),
            field("MaxRecords", Int32, 1..=1),
            field("BatchSize", Int32, 1..=1),
            field(
                "Topics",
                Array(&Struct(&[
                    field("TopicId", Uuid, 1..=1),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 1..=1),
                            field(
                                "AcknowledgementBatches",
                                Array(&Struct(&[
                                    field("FirstOffset", Int64, 1..=1),
                                    field("LastOffset", Int64, 1..=1),
                                    field("AcknowledgeTypes", Array(&Int8), 1..=1),
                                ])),
                                1..=1,
                            ),
                        ])),
                        1..=1,
                    ),
                ])),
                1..=1,
            ),
            field(
                "ForgottenTopicsData",
                Array(&Struct(&[
                    field("TopicId", Uuid, 1..=1),
                    field("Partitions", Array(&Int32), 1..=1),
                ])),
                1..=1,
            ),
        ],
    ),
    Shape::new(
        79,
        "ShareAcknowledge",
        1..=1,
        0,
        &[
            field("GroupId", String, 1..=1).null(1..=1),
            field("MemberId", String, 1..=1).null(1..=1),
            field("ShareSessionEpoch", Int32, 1..=1),
            field(
                "Topics",
                Array(&Struct(&[
                    field("TopicId", Uuid, 1..=1),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 1..=1),
                            field(
                                "AcknowledgementBatches",
                                Array(&Struct(&[
                                    field("FirstOffset", Int64, 1..=1),
                                    field("LastOffset", Int64, 1..=1),
                                    field("AcknowledgeTypes", Array(&Int8), 1..=1),
                                ])),
                                1..=1,
                            ),
                        ])),
                        1..=1,
                    ),
                ])),
                1..=1,
            ),
        ],
    ),
    Shape::new(
        90,
        "DescribeShareGroupOffsets",
        0..=0,
        0,
        &[field(
            "Groups",
            Array(&Struct(&[
                field("GroupId", String, 0..=0),
                field(
                    "Topics",
                    Array(&Struct(&[
                        field("TopicName", String, 0..=0),
                        field("Partitions", Array(&Int32), 0..=0),
                    ])),
                    0..=0,
                )
                .null(0..=0),
            ])),
            0..=0,
        )],
    ),
    Shape::new(
        91,
        "AlterShareGroupOffsets",
        0..=0,
        0,
        &[
            field("GroupId", String, 0..=0),
            field(
                "Topics",
                Array(&Struct(&[
                    field("TopicName", String, 0..=0),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 0..=0),
                            field("StartOffset", Int64, 0..=0),
                        ])),
                        0..=0,
                    ),
                ])),
                0..=0,
            ),
        ],
    ),
    Shape::new(
        92,
        "DeleteShareGroupOffsets",
        0..=0,
        0,
        &[
            field("GroupId", String, 0..=0),
            field(
                "Topics",
                Array(&Struct(&[field("TopicName", String, 0..=0)])),
                0..=0,
            ),
        ],
    ),
];
