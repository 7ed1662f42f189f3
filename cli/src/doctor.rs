//! `stencil doctor`: every setting and where it came from, whether the cache
//! and the server are well, and what keeps this machine from sharing entries
//! with another one.

mod chosen;
mod sharing;

use crate::args::DoctorArgs;
use crate::cache::Cache;
use crate::config::{Config, RemoteChoice};
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use crate::{server_stats, settings};
use std::fs;
use stencil::entry::FORMAT_VERSION;
use wording::ByteSize;

pub fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let config = Config::load()?;
    let compiler = settings::compiler(&config.settings(&args.settings)?)?;
    if args.settings_only {
        exit::print(&sharing::lines(&sharing::deciding(&compiler)))?;
        return Ok(Exit::Success);
    }
    let other = match &args.compare {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| Failure::unreadable(path, &error))?;
            let name = path.display().to_string();
            Some((name, sharing::parse(&text)))
        }
    };
    exit::print(&format!("settings\n{}", chosen::table(&config, args)?))?;
    let cache = check_cache(&config, args)?;
    let remote = config.remote(&args.remote)?;
    let server = match &remote {
        Some(remote) => check_server(remote)?,
        None => {
            exit::print("\nserver\n  none is named\n")?;
            Exit::Success
        }
    };
    exit::print(&sharing::sharing(&compiler, other.as_ref()))?;
    Ok(if server == Exit::Success { cache } else { server })
}

fn check_cache(config: &Config, args: &DoctorArgs) -> Result<Exit, Failure> {
    let choice = config.cache(&args.cache)?;
    exit::print("\ncache\n")?;
    if choice.dir.is_none() {
        exit::print("  there is no place for one\n")?;
        return Ok(Exit::Files);
    }
    let disk = Cache::require(&choice)?;
    let stats = disk.stats();
    let problems = disk.problems();
    match stats.failure {
        Some(reason) => exit::print(&format!("  not well: {reason}\n"))?,
        None => exit::print(&format!(
            "  well: {} entries, {} of {}\n",
            count(stats.entries),
            ByteSize(stats.file_bytes),
            ByteSize(stats.size_max)
        ))?,
    }
    for problem in &problems {
        exit::print(&format!("  {problem}\n"))?;
    }
    Ok(if stats.failure.is_some() { Exit::Files } else { Exit::Success })
}

fn check_server(remote: &RemoteChoice) -> Result<Exit, Failure> {
    exit::print("\nserver\n")?;
    let greeting = match server_stats::ask(remote) {
        Ok(greeting) => greeting,
        Err(sentence) => {
            exit::print(&format!("  not well: {sentence}\n"))?;
            return Ok(Exit::Remote);
        }
    };
    let stats = &greeting.stats;
    exit::print(&format!(
        "  well: version {}, {:.1} ms a round trip, {} entries; with role {}\n",
        stats.version,
        greeting.round_trip.as_secs_f64() * 1e3,
        count(stats.entries),
        stats.role
    ))?;
    if stats.entry_format != u32::from(FORMAT_VERSION) {
        exit::print(&format!(
            "  but it keeps entries of format {}, and this program makes format {FORMAT_VERSION}: \
             bring both to the same version\n",
            stats.entry_format
        ))?;
        return Ok(Exit::Remote);
    }
    if stats.version != env!("CARGO_PKG_VERSION") {
        let ours = env!("CARGO_PKG_VERSION");
        exit::print(&format!("  this program is version {ours}; both keep the same entries\n"))?;
    }
    if stats.role == "read" {
        exit::print("  this machine's compiles will not be published, only looked up\n")?;
    }
    Ok(Exit::Success)
}
