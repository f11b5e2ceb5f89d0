//! Composition: from a configuration to its listeners, and a graceful shutdown.
//!
//! Listeners are bound before anything is served, so that port 0 works and a port in use stops the startup.

mod background;
mod detached;
mod fd_limit;
mod listen;
mod server;

pub use background::BackgroundTasks;
pub use fd_limit::raise_nofile_limit;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_server::{Server, ServerHandle};
use actix_web::App;
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use anyhow::Context as _;
use tracing::{info, warn};
use uuid::Uuid;

use crate::claims::JwtId;
use crate::config::{AuditTarget, Config};
use crate::edge::grpc::GrpcServer;
use crate::edge::http::{
    ConnectionGate, ConnectionLimits, Edge, Playground, admin_routes, api_routes, close_after_chunks,
    playground_routes, route_metrics,
};
use crate::mint::Mint;
use crate::reload::{FileAccess, Generation};
use crate::service::{
    Callers, DegradedConditions, Issuer, IssuerParts, Readiness, Recorder, ServedGeneration, ServiceLimits, Stage,
};
use crate::sources::{SourceLimits, Sources};
use crate::telemetry::{Audit, Metrics, Traces};
use crate::time::{Clock, Timestamp};
use crate::tls::LiveTls;
use background::Hangup;
use detached::detached;
use listen::listen;
#[cfg(unix)]
use listen::listen_unix;
use server::{Listening, listen_grpc, listen_tcp, listen_tls};

/// The time in which the audit log and traces each must write their queues during shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections above the limit that are accepted for an error response; further ones wait to be accepted. An eighth of
/// the limit is added.
const REJECTION_HEADROOM: usize = 16;

/// Concurrent connections on the admin listener; for further ones, idle ones are closed.
const ADMIN_CONNECTIONS: usize = 64;

/// Returns the limit of accepted connections: `most` that are served, and those that get an error response.
const fn accepted(most: usize) -> usize {
    most.saturating_add(most / 8 + REJECTION_HEADROOM)
}

/// A service whose listeners are bound and that does not serve yet.
pub struct Application {
    api: Server,
    admin: Server,
    bound: Bound,
    grpc_address: Option<SocketAddr>,
    admin_address: SocketAddr,
    edge: Data<Edge>,
    config: Config,
    shutdown_delay: Duration,
    /// The file of the Unix socket, which is removed when the service stops.
    #[cfg(unix)]
    socket_file: Option<listen::SocketFile>,
}

/// The API listener as it was opened, which no reload changes.
#[derive(Clone, Debug)]
struct Bound {
    /// `None` if there is only a Unix socket.
    api_address: Option<SocketAddr>,
    /// The certificate for TLS handshakes.
    tls: Option<Arc<LiveTls>>,
}

impl Application {
    /// Binds every listener in the configuration of `generation`.
    ///
    /// # Errors
    /// Fails if an address or a socket cannot be bound, if the audit log cannot be written, or if traces cannot start.
    pub fn bind(generation: Generation, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let config = generation.config.clone();
        let problems = generation.problems.clone();
        let api = match config.serve.has_api_address {
            true => Some(listen(&config.serve.api, "serve.api")?),
            false => None,
        };
        #[cfg(unix)]
        let (unix, socket_file) = config.serve.unix.as_ref().map(listen_unix).transpose()?.unzip();
        #[cfg(not(unix))]
        anyhow::ensure!(
            config.serve.unix.is_none(),
            "serve.api.unix: Unix sockets need a Unix system; remove serve.api.unix"
        );
        let grpc = config.serve.grpc.as_ref();
        let grpc_listener = grpc.map(|grpc| listen(&grpc.listener, "serve.grpc")).transpose()?;
        let grpc_address = grpc_listener.as_ref().map(|(_, address)| *address);
        let (admin, admin_address) = listen(&config.serve.admin, "serve.admin")?;
        let api_address = api.as_ref().map(|(_, address)| *address);
        let tls = generation.tls.as_ref().map(|tls| Arc::new(LiveTls::new(Arc::clone(tls))));
        let bound = Bound { api_address, tls };
        let workers = config.serve.workers.map_or_else(
            || std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            |workers| workers.get(),
        );
        let metrics = Arc::new(metrics_of(&generation.mint, clock.now()));
        let audit = match &config.audit {
            None => None,
            Some(audit) => Some(
                Audit::open(audit, metrics.audit_counts(), Arc::clone(&clock), audit_file())
                    .with_context(|| format!("audit.to: cannot open {}", target(&audit.to)))?,
            ),
        };
        let traces = match &config.traces {
            None => None,
            Some(traces) => Some(
                Traces::start(traces, metrics.trace_counts()).map_err(|error| anyhow::anyhow!("traces: {error}"))?,
            ),
        };
        let issuer = Issuer::new(IssuerParts {
            generation: served(generation, &bound, None, &metrics),
            recorder: Recorder::new(Arc::clone(&metrics), audit, traces),
            cache_bytes: config.limits.token_cache as u64,
            workers,
            clock: Arc::clone(&clock),
            jwt_id: || JwtId::new(Uuid::new_v4()),
        });
        let edge = Data::new(Edge {
            issuer,
            readiness: Readiness::default(),
            conditions: DegradedConditions::default(),
            playground: config
                .serve
                .playground
                .then(|| Playground::new(config.serve.admin.host.clone(), config.serve.playground_sources)),
            routes: route_metrics(&metrics),
        });
        background::report_problems(&edge, &problems);

        let keep_alive = match config.limits.keep_alive {
            Duration::ZERO => KeepAlive::Disabled,
            duration => KeepAlive::Timeout(duration),
        };
        let most = config.limits.connections;
        let limits = ConnectionLimits {
            most,
            per_peer: config.limits.connections_per_peer,
            // Half of those that are accepted, so that closed ones do not keep new ones out.
            most_refused: (accepted(most) - most) / 2,
            most_age: config.limits.connection_age,
            is_kept_alive: !config.limits.keep_alive.is_zero(),
        };
        // One for all listeners of the server, because it has one limit of accepted connections for all of them.
        let gate = Arc::new(ConnectionGate::api(edge.clone(), limits));
        let mut server = Server::build()
            .workers(workers)
            .max_concurrent_connections(accepted(most).div_ceil(workers))
            .shutdown_timeout(config.serve.shutdown_timeout.as_secs().max(1))
            .disable_signals();
        let stopping = server.graceful_shutdown_signal();
        let listening = Listening { gate: Arc::clone(&gate), keep_alive, stopping };
        let api_edge = edge.clone();
        let app = move || App::new().app_data(api_edge.clone()).configure(api_routes);
        if let Some((grpc, _)) = grpc_listener {
            let tls = bound.tls.as_ref().map(|tls| tls.server_config(Arc::clone(&clock))).transpose()?;
            let check = config.serve.grpc.as_ref().and_then(|grpc| grpc.check.clone());
            let grpc_server = Arc::new(GrpcServer::new(edge.clone(), check, &metrics));
            server = listen_grpc(server, grpc, tls, Arc::clone(&gate), grpc_server)?;
        }
        if let Some((api, _)) = api {
            server = match &bound.tls {
                Some(tls) => listen_tls(server, api, tls.server_config(clock)?, listening.clone(), app.clone())?,
                None => listen_tcp(server, api, listening.clone(), app.clone())?,
            };
        }
        #[cfg(unix)]
        if let Some(unix) = unix {
            server = server::listen_unix(server, unix, listening, app)?;
        }
        let api = server.run();
        let server = Server::build()
            .workers(1)
            .max_concurrent_connections(accepted(ADMIN_CONNECTIONS))
            .shutdown_timeout(1)
            .disable_signals();
        let listening = Listening {
            gate: Arc::new(ConnectionGate::admin(edge.clone(), ADMIN_CONNECTIONS)),
            keep_alive: KeepAlive::default(),
            stopping: server.graceful_shutdown_signal(),
        };
        let admin_edge = edge.clone();
        let has_playground = config.serve.playground;
        let app = move || {
            let app = App::new().app_data(admin_edge.clone()).wrap(from_fn(close_after_chunks)).configure(admin_routes);
            if has_playground { app.configure(playground_routes) } else { app }
        };
        let admin = listen_tcp(server, admin, listening, app)?.run();
        let shutdown_delay = config.serve.shutdown_delay;
        Ok(Self {
            api,
            admin,
            bound,
            grpc_address,
            admin_address,
            edge,
            config,
            shutdown_delay,
            #[cfg(unix)]
            socket_file,
        })
    }

    /// Returns the address of the API listener; `None` if there is only a Unix socket.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.bound.api_address
    }

    /// Returns the address of the gRPC listener, if there is one.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_address
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves like [`Application::run`], with background tasks that apply changes and rotate keys meanwhile.
    ///
    /// # Errors
    /// As [`Application::run`].
    pub async fn run_with(self, tasks: BackgroundTasks, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        // Register SIGHUP before the log reports that the service is ready, because until then SIGHUP ends the process.
        let hangup = Hangup::new();
        let background =
            actix_web::rt::spawn(tasks.run(self.edge.clone(), self.config.clone(), self.bound.clone(), hangup));
        let result = self.run(stop).await;
        background.abort();
        result
    }

    /// Serves until `stop` completes, then shuts down gracefully: readiness changes to 503, the API listener closes
    /// after `shutdown_delay` and finishes its requests within `shutdown_timeout`, the admin listener closes last.
    ///
    /// # Errors
    /// Fails if a listener fails.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let api_handle = self.api.handle();
        let admin_handle = self.admin.handle();
        let mut api = actix_web::rt::spawn(self.api);
        let admin = actix_web::rt::spawn(self.admin);
        self.edge.readiness.advance(Stage::Ready);
        self.edge.issuer.recorder().metrics().set_ready(true);
        let address = self.bound.api_address.map(|address| address.to_string());
        let socket = self.config.serve.unix.as_ref().map(|socket| format!("unix:{}", socket.path.display()));
        let listens = address.into_iter().chain(socket).collect::<Vec<_>>().join(" ");
        let grpc = self.grpc_address.map(tracing::field::display);
        info!(api = %listens, grpc, admin = %self.admin_address, tls = self.bound.tls.is_some(), "serving");
        if self.edge.playground.is_some() {
            info!(url = %format_args!("http://{}/playground", self.admin_address), "playground");
        }

        tokio::select! {
            () = stop => {}
            ended = &mut api => {
                ended.context("API listener task panicked")?.context("API listener failed")?;
                warn!("API listener ended unexpectedly");
            }
        }
        self.edge.readiness.advance(Stage::Stopping);
        self.edge.issuer.recorder().metrics().set_ready(false);
        info!("stopping");
        tokio::time::sleep(self.shutdown_delay).await;
        stop_server(&api_handle, api).await;
        #[cfg(unix)]
        drop(self.socket_file);
        stop_server(&admin_handle, admin).await;
        let edge = self.edge;
        // A panic of the close is logged, and nothing is left to do.
        let _ = detached("close", move || close(&edge)).await;
        info!("stopped");
        Ok(())
    }
}

/// Writes the queues of the audit log and traces. Blocks.
fn close(edge: &Edge) {
    let recorder = edge.issuer.recorder();
    if let Some(audit) = recorder.audit() {
        audit.close(FLUSH_TIMEOUT);
    }
    if let Some(traces) = recorder.traces() {
        traces.close(FLUSH_TIMEOUT);
    }
}

/// Returns the function that opens the file of the audit log, within the limits of all file access.
fn audit_file() -> impl Fn(&Path) -> io::Result<File> + Send + 'static {
    let access = FileAccess::default();
    move |path| access.append(path)
}

/// Returns the audit target for error messages.
fn target(to: &AuditTarget) -> String {
    match to {
        AuditTarget::File(path) => path.display().to_string(),
        AuditTarget::Stdout => "standard output".to_owned(),
    }
}

/// Returns the metrics of a service that starts at `now` with `mint`.
fn metrics_of(mint: &Mint, now: Timestamp) -> Metrics {
    let metrics = Metrics::new();
    metrics.generation_since(now);
    count_skipped(&metrics, mint);
    metrics
}

/// Sets the gauge of skipped members of each key set.
fn count_skipped(metrics: &Metrics, mint: &Mint) {
    metrics
        .keys_skipped(mint.profiles().map(|profile| (profile.spec().key_set.as_str(), profile.keys().skipped().len())));
}

/// Returns `generation` as the service needs it. Callers keep the state that they have in `before`.
fn served(
    generation: Generation,
    bound: &Bound,
    before: Option<&ServedGeneration>,
    metrics: &Metrics,
) -> ServedGeneration {
    let Generation { mint, config, callers, tls, sources, .. } = generation;
    if let Some(tls) = &tls {
        metrics.certificate_ends(tls.ends().seconds());
    }
    let scheme = if bound.tls.is_some() { "https" } else { "http" };
    let address = bound.api_address.filter(|address| !address.ip().is_unspecified());
    metrics.profiles(mint.profiles().map(|profile| profile.spec().name.as_str()));
    ServedGeneration {
        mint,
        sources,
        callers: Callers::new(&callers, before.map(|before| &before.callers), metrics),
        session_sources: Sources::new(
            &config.sources,
            SourceLimits::new(config.limits.body, config.limits.depth),
            config.limits.in_flight,
            before.map(|before| &before.session_sources),
            seed(),
        ),
        checks: config.checks,
        client_authority: tls.and_then(|tls| tls.authority().cloned()),
        limits: ServiceLimits {
            body: config.limits.body,
            depth: config.limits.depth,
            header: config.limits.header,
            request: config.limits.request,
            in_flight: config.limits.in_flight,
            failed_attempts: config.limits.failed_attempts,
            failed_delay: config.limits.failed_delay,
        },
        public_url: config
            .public_url
            .map(|url| url.to_string())
            .or_else(|| address.map(|address| format!("{scheme}://{address}"))),
        jwks_max_age: config.jwks_max_age.as_secs(),
    }
}

/// Returns random bytes.
fn seed() -> [u8; 32] {
    let (first, second) = (Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes());
    std::array::from_fn(|index| if index < 16 { first[index] } else { second[index - 16] })
}

/// Stops a server after its requests in flight, within its shutdown timeout.
async fn stop_server(handle: &ServerHandle, server: actix_web::rt::task::JoinHandle<io::Result<()>>) {
    handle.stop(true).await;
    // The result no longer matters, because the server was stopped on purpose.
    let _ = server.await;
}

/// Completes on SIGTERM or SIGINT. Must be called in a runtime. From the call on, neither signal ends the process by
/// itself.
#[cfg(unix)]
pub fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match signals {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            }
            _ => std::future::pending().await,
        }
    }
}

/// Completes when the process is interrupted.
#[cfg(not(unix))]
pub async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
