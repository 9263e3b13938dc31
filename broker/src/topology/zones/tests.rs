use super::*;

const ZONES: [&str; 4] = ["us-east-1a", "us-east-1b", "b", "westeurope/2"];

#[test]
fn zones_are_read_from_client_ids_as_each_dialect_writes_them() {
    let cases = [
        // WarpStream
        ("warpstream_az=us-east-1a", "us-east-1a"),
        ("app,ws_az=us-east-1a", "us-east-1a"),
        ("a=b,ws_az=us-east-1a,rest_of_the_client_id", "us-east-1a"),
        // Bufstream
        ("zone=b", "b"),
        ("my-client-id;host_override=local.dev;zone=b", "b"),
        ("my-client-id,zone=us-east-1b,broker_count=1", "us-east-1b"),
        // Inkless
        ("my-producer,diskless_az=us-east-1a", "us-east-1a"),
        ("diskless_az=us-east-1a my producer", "us-east-1a"),
        // AutoMQ
        ("automq_az=us-east-1a&producer-1", "us-east-1a"),
        (
            "automq_type=producer&automq_role=r&automq_az=westeurope%2F2",
            "westeurope/2",
        ),
        // What clients append to their ids.
        ("app,ws_az=us-east-1a-StreamThread-1-consumer", "us-east-1a"),
        ("zone=b-0", "b"),
        (
            "connector-consumer-diskless,diskless_az=us-east-1b-3",
            "us-east-1b",
        ),
        // Another dialect's separator, as long as the rest is a zone.
        ("ws_az=b;app", "b"),
        ("diskless_az=b;x=y", "b"),
        // The first from the left.
        ("zone=b,ws_az=us-east-1a", "b"),
        // Not escaped: as it is.
        ("zone=westeurope/2", "westeurope/2"),
    ];
    for (client_id, zone) in cases {
        let found = zone_in_client_id(client_id, |zone| ZONES.contains(&zone));
        assert_eq!(found.as_deref(), Some(zone), "{client_id}");
    }
}

#[test]
fn a_zone_nobody_is_in_is_still_the_clients_zone() {
    for (client_id, zone) in [
        ("zone=eu-9", "eu-9"),
        ("automq_az=%zz%4", "%zz%4"),
        ("automq_az=%ff", "%ff"),
        ("automq_az=a+b%26c", "a b&c"),
        ("ws_az=é,x", "é"),
    ] {
        let found = zone_in_client_id(client_id, |zone| ZONES.contains(&zone));
        assert_eq!(found.as_deref(), Some(zone), "{client_id}");
    }
}

#[test]
fn client_ids_without_a_zone_name_none() {
    for client_id in [
        "",
        "app",
        "timezone=b",
        "app-zone=b",
        "zone=",
        "zone=,ws_az",
        "zone b",
        "ZONE=b",
        "ws_azb=b",
        "diskless_az==b",
    ] {
        assert_eq!(zone_in_client_id(client_id, |_| true), None, "{client_id}");
    }
}

fn parse(entries: &[&str]) -> Result<ZoneBlocks, String> {
    let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
    ZoneBlocks::parse(&entries)
}

#[test]
fn an_address_is_in_the_zone_of_the_smallest_block_around_it() {
    let blocks = parse(&[
        "10.0.0.0/8=wide",
        "10.0.32.0/19=a",
        "10.0.40.7/32=host",
        "2001:db8::/32=six",
        "2001:db8:1::/48 = b",
        "0.0.0.0/0=all4",
        "2001:db8::1/128=host6",
    ])
    .unwrap();
    for (address, zone) in [
        ("10.0.31.255", Some("wide")),
        ("10.0.32.0", Some("a")),
        ("10.0.63.255", Some("a")),
        ("10.0.64.0", Some("wide")),
        ("10.0.40.7", Some("host")),
        ("9.255.255.255", Some("all4")),
        ("::ffff:10.0.40.8", Some("a")),
        ("2001:db8:1::5", Some("b")),
        ("2001:db8:2::5", Some("six")),
        ("2001:db8::1", Some("host6")),
        ("2001:db9::1", None),
    ] {
        assert_eq!(blocks.zone_of(address.parse().unwrap()), zone, "{address}");
    }
    assert_eq!(
        parse(&["::/0=x"])
            .unwrap()
            .zone_of("1.2.3.4".parse().unwrap()),
        None
    );
    assert_eq!(parse(&[]), Ok(ZoneBlocks::default()));
}

#[test]
fn what_is_no_block_is_refused_and_named() {
    for (entry, why) in [
        ("10.0.0.0/8", "names no zone"),
        ("10.0.0.0/8=", "names no zone"),
        ("10.0.0.0/8=a=b", "names no zone"),
        ("=a", "no prefix length"),
        ("10.0.0.0=a", "no prefix length"),
        ("10.0.0/8=a", "no IP address"),
        ("host/8=a", "no IP address"),
        ("10.0.0.0/33=a", "not 0 to 32"),
        ("10.0.0.0/-1=a", "not 0 to 32"),
        ("10.0.0.0/x=a", "not 0 to 32"),
        ("::/129=a", "not 0 to 128"),
        ("10.0.0.1/8=a", "beyond its prefix"),
        ("2001:db8::1/64=a", "beyond its prefix"),
        ("::ffff:10.0.0.0/104=a", "IPv4"),
    ] {
        let refused = parse(&["10.1.0.0/16=fine", entry]).unwrap_err();
        assert!(
            refused.contains(why) && refused.contains(entry),
            "{refused}"
        );
    }
    let twice = parse(&["10.0.0.0/8=a", "10.0.0.0/8=b"]).unwrap_err();
    assert!(twice.contains("in zone a and in zone b"), "{twice}");
    parse(&["10.0.0.0/8=a", "10.0.0.0/8=a"]).unwrap();
}
