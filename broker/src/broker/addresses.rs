//! Where an agent listens, and where others are told to find it.

use std::net::SocketAddr;

use control_plane::state::RegisterAgent;
use runtime::Rng;
use runtime::settings::Resolved;
use tokio::net::TcpListener;

use super::BrokerError;
use crate::config::{BrokerConfig, metadata_version_max};
use crate::net::Listener;

/// What an agent that listens there registers with.
pub(super) fn registration(
    config: &BrokerConfig,
    rng: &Rng,
    address: SocketAddr,
    peer_address: SocketAddr,
) -> Result<RegisterAgent, BrokerError> {
    registration_of(&config.resolved, rng, address, peer_address).map_err(BrokerError::Setting)
}

/// The registration of an agent that listens on `address` for clients and on `peer_address` for other agents.
///
/// # Errors
/// What is wrong with the settings.
fn registration_of(
    resolved: &Resolved,
    rng: &Rng,
    address: SocketAddr,
    peer_address: SocketAddr,
) -> Result<RegisterAgent, String> {
    let heartbeat = resolved.duration("agent.heartbeat.ms");
    let session_timeout = resolved.duration("agent.session.timeout.ms");
    if session_timeout <= heartbeat {
        return Err(format!(
            "agent.session.timeout.ms ({} ms) has to be longer than agent.heartbeat.ms ({} ms): agents that are well would \
             be fenced",
            session_timeout.as_millis(),
            heartbeat.as_millis()
        ));
    }
    let (host, port) = match resolved.opt_text("advertise") {
        Some(advertised) => split_address(advertised, address.port())
            .ok_or_else(|| format!("advertise {advertised:?} is not HOST:PORT"))?,
        None => (address.ip().to_string(), address.port()),
    };
    if is_every_address(&host) {
        tracing::warn!(
            "clients are told to connect to {host}:{port}, which is their own machine to them: set `advertise` to where \
             they reach this one"
        );
    }
    let agent_id = match resolved.opt_text("agent.id") {
        Some(id) => id.to_owned(),
        None => format!("agent-{:08x}", rng.u64() as u32),
    };
    let peer_address = match resolved.opt_text("peer.advertise") {
        Some(advertised) => advertised.to_owned(),
        None => reachable(peer_address, &host),
    };
    Ok(RegisterAgent {
        nonce: rng.uuid(),
        agent_id,
        host,
        port,
        peer_address,
        zone: resolved.opt_text("zone").map(str::to_owned),
        version_max: metadata_version_max(resolved),
    })
}

/// Host and port; port 0 stands for the one that is listened on.
fn split_address(address: &str, bound_port: u16) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse::<u16>().ok()?;
    let port = if port == 0 { bound_port } else { port };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// `0.0.0.0` and `::` can be listened on and not be connected to.
fn is_every_address(host: &str) -> bool {
    host.parse()
        .is_ok_and(|address: std::net::IpAddr| address.is_unspecified())
}

/// Where others reach what listens on `bound`: if that is every address, by the name that clients know this machine by.
fn reachable(bound: SocketAddr, host: &str) -> String {
    match bound.ip().is_unspecified() {
        true if host.contains(':') => format!("[{host}]:{}", bound.port()),
        true => format!("{host}:{}", bound.port()),
        false => bound.to_string(),
    }
}

pub(super) async fn bind_clients(address: &str) -> Result<Listener, BrokerError> {
    let failed = |error| BrokerError::Listen {
        address: address.to_owned(),
        error,
    };
    Listener::bind("clients", address).await.map_err(failed)
}

/// By default a free port beside that for clients.
pub(super) async fn bind_peers(
    address: Option<&str>,
    clients: SocketAddr,
) -> Result<TcpListener, BrokerError> {
    let default = SocketAddr::new(clients.ip(), 0).to_string();
    let address = address.unwrap_or(&default);
    let failed = |error| BrokerError::Listen {
        address: address.to_owned(),
        error,
    };
    TcpListener::bind(address).await.map_err(failed)
}

pub(super) fn local(
    bound: std::io::Result<SocketAddr>,
    address: &str,
) -> Result<SocketAddr, BrokerError> {
    bound.map_err(|error| BrokerError::Listen {
        address: address.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use runtime::settings::Settings;

    use super::*;

    fn register(listen: &str, flags: &[(&str, &str)]) -> Result<RegisterAgent, String> {
        let flags = flags.iter().map(|&(n, v)| (n.to_owned(), v.to_owned()));
        let resolved = Settings::resolve(&crate::settings(), None, [], flags.collect()).unwrap();
        let (clients, peers) = (format!("{listen}:9092"), format!("{listen}:7070"));
        let (clients, peers) = (clients.parse().unwrap(), peers.parse().unwrap());
        registration_of(&resolved, &Rng::from_seed(1), clients, peers)
    }

    fn registered(listen: &str, flags: &[(&str, &str)]) -> (String, u16, String) {
        let told = register(listen, flags).unwrap();
        (told.host, told.port, told.peer_address)
    }

    fn addresses(host: &str, port: u16, peer_address: &str) -> (String, u16, String) {
        (host.to_owned(), port, peer_address.to_owned())
    }

    #[test]
    fn others_are_told_an_address_that_they_can_connect_to() {
        for (listen, flags, expected) in [
            (
                "127.0.0.1",
                &[][..],
                addresses("127.0.0.1", 9092, "127.0.0.1:7070"),
            ),
            ("[::1]", &[], addresses("::1", 9092, "[::1]:7070")),
            (
                "0.0.0.0",
                &[("advertise", "kafka-1.example:19092")],
                addresses("kafka-1.example", 19092, "kafka-1.example:7070"),
            ),
            (
                "[::]",
                &[("advertise", "[2001:db8::7]:0")],
                addresses("2001:db8::7", 9092, "[2001:db8::7]:7070"),
            ),
            (
                "0.0.0.0",
                &[
                    ("advertise", "localhost:9092"),
                    ("peer.advertise", "agent-a:7071"),
                ],
                addresses("localhost", 9092, "agent-a:7071"),
            ),
        ] {
            assert_eq!(registered(listen, flags), expected, "{listen} {flags:?}");
        }
    }

    #[test]
    fn a_heartbeat_that_comes_after_the_session_is_over_is_refused() {
        let refused = register("127.0.0.1", &[("agent.heartbeat.ms", "18s")]).unwrap_err();
        assert!(refused.contains("agent.session.timeout.ms (18000 ms) has to be longer"));
        register("127.0.0.1", &[("agent.heartbeat.ms", "17s")]).unwrap();
    }
}
