//! A server -> the runs of machines that have nothing but it.

use super::{Measurements, Round, all_hit};
use crate::results::Variant;
use crate::server_process::ServerProcess;
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use toxic_proxy::{Proxy, Toxics};

/// How far away a server is that is not in the same room, each way.
const DISTANCE: Duration = Duration::from_millis(10);

/// Runs A on a first machine, which fills the server, and on others, each with
/// an empty directory.
pub(super) fn round(round: &Round<'_>, binary: &Path, measured: &mut Measurements) -> Result<()> {
    let data = round.path("server");
    let a = &round.setup.a;
    let compile =
        |machine: &str, url: &str| round.ours_with(a, Some(&round.path(machine)), Some(url));
    let server = ServerProcess::start(binary, &data, &[])?;
    measured.add(Variant::ServerCold, compile("machine-1", &server.url)?);
    let warm = compile("machine-2", &server.url)?;
    all_hit(&warm.report)?;
    measured.add(Variant::ServerWarm, warm);

    let toxics = Toxics { delay: DISTANCE, ..Toxics::default() };
    let proxy = Proxy::start(address(&server.url)?, toxics).context("no port for the proxy")?;
    let far = compile("machine-3", &format!("http://{}", proxy.addr()))?;
    all_hit(&far.report)?;
    measured.add(Variant::ServerFar, far);
    drop(proxy);

    server.process.stop()?;
    let server = ServerProcess::start(binary, &data, &[])?;
    let restarted = compile("machine-4", &server.url)?;
    all_hit(&restarted.report)?;
    measured.add(Variant::ServerRestarted, restarted);
    server.process.stop()
}

fn address(url: &str) -> Result<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    address.parse().with_context(|| format!("{url} is no address"))
}
