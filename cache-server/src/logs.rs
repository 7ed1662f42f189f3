//! Log lines -> stderr, for people or as JSON.

use crate::config::LogFormat;
use crate::exit::Failure;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What writes lines of `level` to `writer`.
///
/// # Errors
///
/// A level that is none.
pub fn subscriber<W>(
    format: LogFormat,
    level: &str,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, Failure>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(level).map_err(|error| {
        let what = "it is error, warn, info, debug or trace, also by module";
        Failure::usage(format!("log-level {level:?} is wrong ({error}): {what}"))
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(lines.with_ansi(false).finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}
