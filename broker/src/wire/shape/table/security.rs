//! Authentication, authorization, quotas and telemetry: the requests' fields, version by version.
//!
//! Source: the message schemas in the kafka-clients 4.1.1 jar, `common/message/*Request.json`
//! (Apache-2.0), narrowed to what the walk needs: order, type, versions, nullability, tags.

use super::super::Kind::*;
use super::super::{Shape, field};

pub(super) const SHAPES: &[Shape] = &[
    Shape::new(
        17,
        "SaslHandshake",
        0..=1,
        i16::MAX,
        &[field("Mechanism", String, 0..=1)],
    ),
    Shape::new(
        36,
        "SaslAuthenticate",
        0..=2,
        2,
        &[field("AuthBytes", Bytes, 0..=2)],
    ),
    Shape::new(
        29,
        "DescribeAcls",
        1..=3,
        2,
        &[
            field("ResourceTypeFilter", Int8, 1..=3),
            field("ResourceNameFilter", String, 1..=3).null(1..=3),
            field("PatternTypeFilter", Int8, 1..=3),
            field("PrincipalFilter", String, 1..=3).null(1..=3),
            field("HostFilter", String, 1..=3).null(1..=3),
            field("Operation", Int8, 1..=3),
            field("PermissionType", Int8, 1..=3),
        ],
    ),
    Shape::new(
        30,
        "CreateAcls",
        1..=3,
        2,
        &[field(
            "Creations",
            Array(&Struct(&[
                field("ResourceType", Int8, 1..=3),
                field("ResourceName", String, 1..=3),
                field("ResourcePatternType", Int8, 1..=3),
                field("Principal", String, 1..=3),
                field("Host", String, 1..=3),
                field("Operation", Int8, 1..=3),
                field("PermissionType", Int8, 1..=3),
            ])),
            1..=3,
        )],
    ),
    Shape::new(
        31,
        "DeleteAcls",
        1..=3,
        2,
        &[field(
            "Filters",
            Array(&Struct(&[
                field("ResourceTypeFilter", Int8, 1..=3),
                field("ResourceNameFilter", String, 1..=3).null(1..=3),
                field("PatternTypeFilter", Int8, 1..=3),
                field("PrincipalFilter", String, 1..=3).null(1..=3),
                field("HostFilter", String, 1..=3).null(1..=3),
                field("Operation", Int8, 1..=3),
                field("PermissionType", Int8, 1..=3),
            ])),
            1..=3,
        )],
    ),
    Shape::new(
        38,
        "CreateDelegationToken",
        1..=3,
        2,
        &[
            field("OwnerPrincipalType", String, 3..=3).null(3..=3),
            field("OwnerPrincipalName", String, 3..=3).null(3..=3),
            field(
                "Renewers",
                Array(&Struct(&[
                    field("PrincipalType", String, 1..=3),
                    field("PrincipalName", String, 1..=3),
                ])),
                1..=3,
            ),
            field("MaxLifetimeMs", Int64, 1..=3),
        ],
    ),
    Shape::new(
        39,
        "RenewDelegationToken",
        1..=2,
        2,
        &[
            field("Hmac", Bytes, 1..=2),
            field("RenewPeriodMs", Int64, 1..=2),
        ],
    ),
    Shape::new(
        40,
        "ExpireDelegationToken",
        1..=2,
        2,
        &[
            field("Hmac", Bytes, 1..=2),
            field("ExpiryTimePeriodMs", Int64, 1..=2),
        ],
    ),
    Shape::new(
        41,
        "DescribeDelegationToken",
        1..=3,
        2,
        &[field(
            "Owners",
            Array(&Struct(&[
                field("PrincipalType", String, 1..=3),
                field("PrincipalName", String, 1..=3),
            ])),
            1..=3,
        )
        .null(1..=3)],
    ),
    Shape::new(
        48,
        "DescribeClientQuotas",
        0..=1,
        1,
        &[
            field(
                "Components",
                Array(&Struct(&[
                    field("EntityType", String, 0..=1),
                    field("MatchType", Int8, 0..=1),
                    field("Match", String, 0..=1).null(0..=1),
                ])),
                0..=1,
            ),
            field("Strict", Bool, 0..=1),
        ],
    ),
    Shape::new(
        49,
        "AlterClientQuotas",
        0..=1,
        1,
        &[
            field(
                "Entries",
                Array(&Struct(&[
                    field(
                        "Entity",
                        Array(&Struct(&[
                            field("EntityType", String, 0..=1),
                            field("EntityName", String, 0..=1).null(0..=1),
                        ])),
                        0..=1,
                    ),
                    field(
                        "Ops",
                        Array(&Struct(&[
                            field("Key", String, 0..=1),
                            field("Value", Float64, 0..=1),
                            field("Remove", Bool, 0..=1),
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
        50,
        "DescribeUserScramCredentials",
        0..=0,
        0,
        &[field(
            "Users",
            Array(&Struct(&[field("Name", String, 0..=0)])),
            0..=0,
        )
        .null(0..=0)],
    ),
    Shape::new(
        51,
        "AlterUserScramCredentials",
        0..=0,
        0,
        &[
            field(
                "Deletions",
                Array(&Struct(&[
                    field("Name", String, 0..=0),
                    field("Mechanism", Int8, 0..=0),
                ])),
                0..=0,
            ),
            field(
                "Upsertions",
                Array(&Struct(&[
                    field("Name", String, 0..=0),
                    field("Mechanism", Int8, 0..=0),
                    field("Iterations", Int32, 0..=0),
                    field("Salt", Bytes, 0..=0),
                    field("SaltedPassword", Bytes, 0..=0),
                ])),
                0..=0,
            ),
        ],
    ),
    Shape::new(
        71,
        "GetTelemetrySubscriptions",
        0..=0,
        0,
        &[field("ClientInstanceId", Uuid, 0..=0)],
    ),
    Shape::new(
        72,
        "PushTelemetry",
        0..=0,
        0,
        &[
            field("ClientInstanceId", Uuid, 0..=0),
            field("SubscriptionId", Int32, 0..=0),
            field("Terminating", Bool, 0..=0),
            field("CompressionType", Int8, 0..=0),
            field("Metrics", Bytes, 0..=0),
        ],
    ),
];
