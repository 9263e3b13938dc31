//! Where an agent listens, and where others are told to find it.

use std::net::SocketAddr;

use control_plane::state::RegisterAgent;
use runtime::Rng;
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
    let resolved = &config.resolved;
    let advertised = resolved
        .opt_text("advertise")
        .map_or_else(|| address.to_string(), str::to_owned);
    let (host, port) = split_address(&advertised, address.port()).ok_or_else(|| {
        BrokerError::Setting(format!("advertise {advertised:?} is not HOST:PORT"))
    })?;
    let agent_id = match resolved.opt_text("agent.id") {
        Some(id) => id.to_owned(),
        None => format!("agent-{:08x}", rng.u64() as u32),
    };
    let peer_address = resolved
        .opt_text("peer.advertise")
        .map_or_else(|| peer_address.to_string(), str::to_owned);
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
