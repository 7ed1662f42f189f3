//! `cache-server`: flags, environment and file -> a running server, until a
//! signal.

use cache_server::args::{Args, Command};
use cache_server::config::{Config, Settings};
use cache_server::exit::{Exit, Failure, say_error};
use cache_server::{Server, logs, token};
use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write as _};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            say_error(&failure);
            failure.exit.into()
        }
    }
}

fn run(args: Args) -> Result<(), Failure> {
    if let Some(Command::Token(args)) = args.command {
        // Whoever does not read the token has none.
        io::stdout().lock().write_all(token::make(&args)?.as_bytes()).ok();
        return Ok(());
    }
    let environment = Settings::from_environment(&|name| std::env::var(name).ok())?;
    let file = args.config.or_else(Settings::file_variable);
    let file = file.map_or_else(|| Ok(Settings::default()), |path| Settings::from_file(&path))?;
    let config = Config::from_settings(args.settings.or(environment).or(file))?;
    let lines = logs::subscriber(config.log_format, &config.log_level, io::stderr)?;
    // Nothing has set another one before.
    tracing::subscriber::set_global_default(lines).ok();
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("no threads: {error}")))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let server = Server::bind(config).await?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            signals.next().await;
            stop.send(()).ok();
            signals.next().await;
            std::process::exit(Exit::Interrupted as i32);
        });
        server.serve(async { stopped.await.unwrap_or_default() }).await
    });
    // Nothing is left to do, and a storage that does not close is not waited for.
    runtime.shutdown_background();
    ended
}

/// Every pack and every connection is an open file, and 1024 of them are soon
/// too few. Without more it runs all the same.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

/// SIGTERM and SIGINT.
struct Signals(Signal, Signal);

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::usage(format!("no signals: {error}")));
        Ok(Self(listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
