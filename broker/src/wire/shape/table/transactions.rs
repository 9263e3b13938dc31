//! Producers and transactions: the requests' fields, version by version.
//!
//! Source: the message schemas in the kafka-clients 4.1.1 jar, `common/message/*Request.json`
//! (Apache-2.0), narrowed to what the walk needs: order, type, versions, nullability, tags.

use super::super::Kind::*;
use super::super::{Shape, field};

pub(super) const SHAPES: &[Shape] = &[
    Shape::new(
        22,
        "InitProducerId",
        0..=6,
        2,
        &[
            field("TransactionalId", String, 0..=6).null(0..=6),
            field("TransactionTimeoutMs", Int32, 0..=6),
            field("ProducerId", Int64, 3..=6),
            field("ProducerEpoch", Int16, 3..=6),
            field("Enable2Pc", Bool, 6..=6),
            field("KeepPreparedTxn", Bool, 6..=6),
        ],
    ),
    Shape::new(
        24,
        "AddPartitionsToTxn",
        0..=5,
        3,
        &[
            field(
                "Transactions",
                Array(&Struct(&[
                    field("TransactionalId", String, 4..=5),
                    field("ProducerId", Int64, 4..=5),
                    field("ProducerEpoch", Int16, 4..=5),
                    field("VerifyOnly", Bool, 4..=5),
                    field(
                        "Topics",
                        Array(&Struct(&[
                            field("Name", String, 4..=5),
                            field("Partitions", Array(&Int32), 4..=5),
                        ])),
                        4..=5,
                    ),
                ])),
                4..=5,
            ),
            field("V3AndBelowTransactionalId", String, 0..=3),
            field("V3AndBelowProducerId", Int64, 0..=3),
            field("V3AndBelowProducerEpoch", Int16, 0..=3),
            field(
                "V3AndBelowTopics",
                Array(&Struct(&[
                    field("Name", String, 0..=3),
                    field("Partitions", Array(&Int32), 0..=3),
                ])),
                0..=3,
            ),
        ],
    ),
    Shape::new(
        25,
        "AddOffsetsToTxn",
        0..=4,
        3,
        &[
            field("TransactionalId", String, 0..=4),
            field("ProducerId", Int64, 0..=4),
            field("ProducerEpoch", Int16, 0..=4),
            field("GroupId", String, 0..=4),
        ],
    ),
    Shape::new(
        26,
        "EndTxn",
        0..=5,
        3,
        &[
            field("TransactionalId", String, 0..=5),
            field("ProducerId", Int64, 0..=5),
            field("ProducerEpoch", Int16, 0..=5),
            field("Committed", Bool, 0..=5),
        ],
    ),
    Shape::new(
        27,
        "WriteTxnMarkers",
        1..=1,
        1,
        &[field(
            "Markers",
            Array(&Struct(&[
                field("ProducerId", Int64, 1..=1),
                field("ProducerEpoch", Int16, 1..=1),
                field("TransactionResult", Bool, 1..=1),
                field(
                    "Topics",
                    Array(&Struct(&[
                        field("Name", String, 1..=1),
                        field("PartitionIndexes", Array(&Int32), 1..=1),
                    ])),
                    1..=1,
                ),
                field("CoordinatorEpoch", Int32, 1..=1),
            ])),
            1..=1,
        )],
    ),
    Shape::new(
        28,
        "TxnOffsetCommit",
        0..=5,
        3,
        &[
            field("TransactionalId", String, 0..=5),
            field("GroupId", String, 0..=5),
            field("ProducerId", Int64, 0..=5),
            field("ProducerEpoch", Int16, 0..=5),
            field("GenerationId", Int32, 3..=5),
            field("MemberId", String, 3..=5),
            field("GroupInstanceId", String, 3..=5).null(3..=5),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=5),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 0..=5),
                            field("CommittedOffset", Int64, 0..=5),
                            field("CommittedLeaderEpoch", Int32, 2..=5),
                            field("CommittedMetadata", String, 0..=5).null(0..=5),
                        ])),
                        0..=5,
                    ),
                ])),
                0..=5,
            ),
        ],
    ),
    Shape::new(
        61,
        "DescribeProducers",
        0..=0,
        0,
        &[field(
            "Topics",
            Array(&Struct(&[
                field("Name", String, 0..=0),
                field("PartitionIndexes", Array(&Int32), 0..=0),
            ])),
            0..=0,
        )],
    ),
    Shape::new(
        65,
        "DescribeTransactions",
        0..=0,
        0,
        &[field("TransactionalIds", Array(&String), 0..=0)],
    ),
    Shape::new(
        66,
        "ListTransactions",
        0..=2,
        0,
        &[
            field("StateFilters", Array(&String), 0..=2),
            field("ProducerIdFilters", Array(&Int64), 0..=2),
            field("DurationFilter", Int64, 1..=2),
            field("TransactionalIdPattern", String, 2..=2).null(2..=2),
        ],
    ),
];
