//! Topics, settings and the cluster: the requests' fields, version by version.
//!
//! Source: the message schemas in the kafka-clients 4.1.1 jar, `common/message/*Request.json`
//! (Apache-2.0), narrowed to what the walk needs: order, type, versions, nullability, tags.

use super::super::Kind::*;
use super::super::{Shape, field};

pub(super) const SHAPES: &[Shape] = &[
    Shape::new(
        19,
        "CreateTopics",
        2..=7,
        5,
        &[
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 2..=7),
                    field("NumPartitions", Int32, 2..=7),
                    field("ReplicationFactor", Int16, 2..=7),
                    field(
                        "Assignments",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 2..=7),
                            field("BrokerIds", Array(&Int32), 2..=7),
                        ])),
                        2..=7,
                    ),
                    field(
                        "Configs",
                        Array(&Struct(&[
                            field("Name", String, 2..=7),
                            field("Value", String, 2..=7).null(2..=7),
                        ])),
                        2..=7,
                    ),
                ])),
                2..=7,
            ),
            field("timeoutMs", Int32, 2..=7),
            field("validateOnly", Bool, 2..=7),
        ],
    ),
    Shape::new(
        20,
        "DeleteTopics",
        1..=6,
        4,
        &[
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 6..=6).null(6..=6),
                    field("TopicId", Uuid, 6..=6),
                ])),
                6..=6,
            ),
            field("TopicNames", Array(&String), 1..=5),
            field("TimeoutMs", Int32, 1..=6),
        ],
    ),
    Shape::new(
        37,
        "CreatePartitions",
        0..=3,
        2,
        &[
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=3),
                    field("Count", Int32, 0..=3),
                    field(
                        "Assignments",
                        Array(&Struct(&[field("BrokerIds", Array(&Int32), 0..=3)])),
                        0..=3,
                    )
                    .null(0..=3),
                ])),
                0..=3,
            ),
            field("TimeoutMs", Int32, 0..=3),
            field("ValidateOnly", Bool, 0..=3),
        ],
    ),
    Shape::new(
        32,
        "DescribeConfigs",
        1..=4,
        4,
        &[
            field(
                "Resources",
                Array(&Struct(&[
                    field("ResourceType", Int8, 1..=4),
                    field("ResourceName", String, 1..=4),
                    field("ConfigurationKeys", Array(&String), 1..=4).null(1..=4),
                ])),
                1..=4,
            ),
            field("IncludeSynonyms", Bool, 1..=4),
            field("IncludeDocumentation", Bool, 3..=4),
        ],
    ),
    Shape::new(
        33,
        "AlterConfigs",
        0..=2,
        2,
        &[
            field(
                "Resources",
                Array(&Struct(&[
                    field("ResourceType", Int8, 0..=2),
                    field("ResourceName", String, 0..=2),
                    field(
                        "Configs",
                        Array(&Struct(&[
                            field("Name", String, 0..=2),
                            field("Value", String, 0..=2).null(0..=2),
                        ])),
                        0..=2,
                    ),
                ])),
                0..=2,
            ),
            field("ValidateOnly", Bool, 0..=2),
        ],
    ),
    Shape::new(
        44,
        "IncrementalAlterConfigs",
        0..=1,
        1,
        &[
            field(
                "Resources",
                Array(&Struct(&[
                    field("ResourceType", Int8, 0..=1),
                    field("ResourceName", String, 0..=1),
                    field(
                        "Configs",
                        Array(&Struct(&[
                            field("Name", String, 0..=1),
                            field("ConfigOperation", Int8, 0..=1),
                            field("Value", String, 0..=1).null(0..=1),
                        ])),
                        0..=1,
                    ),
                ])),
                0..=1,
            ),
            field("ValidateOnly", Bool, 0..=1),
        ],
    ),
    Shape::new(
        74,
        "ListConfigResources",
        0..=1,
        0,
        &[field("ResourceTypes", Array(&Int8), 1..=1)],
    ),
    Shape::new(
        34,
        "AlterReplicaLogDirs",
        1..=2,
        2,
        &[field(
            "Dirs",
            Array(&Struct(&[
                field("Path", String, 1..=2),
                field(
                    "Topics",
                    Array(&Struct(&[
                        field("Name", String, 1..=2),
                        field("Partitions", Array(&Int32), 1..=2),
                    ])),
                    1..=2,
                ),
            ])),
            1..=2,
        )],
    ),
    Shape::new(
        35,
        "DescribeLogDirs",
        1..=4,
        2,
        &[field(
            "Topics",
            Array(&Struct(&[
                field("Topic", String, 1..=4),
                field("Partitions", Array(&Int32), 1..=4),
            ])),
            1..=4,
        )
        .null(1..=4)],
    ),
    Shape::new(
        43,
        "ElectLeaders",
        0..=2,
        2,
        &[
            field("ElectionType", Int8, 1..=2),
            field(
                "TopicPartitions",
                Array(&Struct(&[
                    field("Topic", String, 0..=2),
                    field("Partitions", Array(&Int32), 0..=2),
                ])),
                0..=2,
            )
            .null(0..=2),
            field("TimeoutMs", Int32, 0..=2),
        ],
    ),
    Shape::new(
        45,
        "AlterPartitionReassignments",
        0..=1,
        0,
        &[
            field("TimeoutMs", Int32, 0..=1),
            field("AllowReplicationFactorChange", Bool, 1..=1),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=1),
                    field(
                        "Partitions",
                        Array(&Struct(&[
                            field("PartitionIndex", Int32, 0..=1),
                            field("Replicas", Array(&Int32), 0..=1).null(0..=1),
                        ])),
                        0..=1,
                    ),
                ])),
                0..=1,
            ),
        ],
    ),
    Shape::new(
        46,
        "ListPartitionReassignments",
        0..=0,
        0,
        &[
            field("TimeoutMs", Int32, 0..=0),
            field(
                "Topics",
                Array(&Struct(&[
                    field("Name", String, 0..=0),
                    field("PartitionIndexes", Array(&Int32), 0..=0),
                ])),
                0..=0,
            )
            .null(0..=0),
        ],
    ),
    Shape::new(
        55,
        "DescribeQuorum",
        0..=2,
        0,
        &[field(
            "Topics",
            Array(&Struct(&[
                field("TopicName", String, 0..=2),
                field(
                    "Partitions",
                    Array(&Struct(&[field("PartitionIndex", Int32, 0..=2)])),
                    0..=2,
                ),
            ])),
            0..=2,
        )],
    ),
    Shape::new(
        57,
        "UpdateFeatures",
        0..=2,
        0,
        &[
            field("timeoutMs", Int32, 0..=2),
            field(
                "FeatureUpdates",
                Array(&Struct(&[
                    field("Feature", String, 0..=2),
                    field("MaxVersionLevel", Int16, 0..=2),
                    field("AllowDowngrade", Bool, 0..=0),
                    field("UpgradeType", Int8, 1..=2),
                ])),
                0..=2,
            ),
            field("ValidateOnly", Bool, 1..=2),
        ],
    ),
    Shape::new(
        60,
        "DescribeCluster",
        0..=2,
        0,
        &[
            field("IncludeClusterAuthorizedOperations", Bool, 0..=2),
            field("EndpointType", Int8, 1..=2),
            field("IncludeFencedBrokers", Bool, 2..=2),
        ],
    ),
    Shape::new(
        80,
        "AddRaftVoter",
        0..=0,
        0,
        &[
            field("ClusterId", String, 0..=0).null(0..=0),
            field("TimeoutMs", Int32, 0..=0),
            field("VoterId", Int32, 0..=0),
            field("VoterDirectoryId", Uuid, 0..=0),
            field(
                "Listeners",
                Array(&Struct(&[
                    field("Name", String, 0..=0),
                    field("Host", String, 0..=0),
                    field("Port", Uint16, 0..=0),
                ])),
                0..=0,
            ),
        ],
    ),
    Shape::new(
        81,
        "RemoveRaftVoter",
        0..=0,
        0,
        &[
            field("ClusterId", String, 0..=0).null(0..=0),
            field("VoterId", Int32, 0..=0),
            field("VoterDirectoryId", Uuid, 0..=0),
        ],
    ),
    Shape::new(
        64,
        "UnregisterBroker",
        0..=0,
        0,
        &[field("BrokerId", Int32, 0..=0)],
    ),
];
