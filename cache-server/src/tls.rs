//! PEM files -> what the server shows, and whom it believes.

use crate::config::TlsFiles;
use crate::exit::Failure;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use wording::reason;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Turns TLS on.
///
/// # Errors
///
/// A file that cannot be read or is not what it should be.
pub fn configure(server: Server, files: &TlsFiles) -> Result<Server, Failure> {
    let identity = Identity::from_pem(read(&files.cert)?, read(&files.key)?);
    let mut tls = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
    if let Some(client_ca) = &files.client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(read(client_ca)?));
    }
    server.tls_config(tls).map_err(|error| {
        let why = std::error::Error::source(&error).map(ToString::to_string);
        let why = why.unwrap_or_else(|| error.to_string());
        let (cert, key) = (files.cert.display(), files.key.display());
        let ca = files.client_ca.as_ref().map(|ca| format!(" and {}", ca.display()));
        let ca = ca.unwrap_or_default();
        Failure::usage(format!("TLS cannot be set up with {cert}, {key}{ca}: {why}"))
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        let why = reason(&error);
        Failure::usage(format!("cannot read {}: {why}; check the TLS settings", path.display()))
    })
}
