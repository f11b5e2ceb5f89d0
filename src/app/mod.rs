//! Composition: from a configuration to its listeners, and an orderly way down.
//!
//! Listeners are bound before anything is served, so that port 0 works and a port that is taken stops the start.

mod descriptors;
mod listen;
mod server;
mod upkeep;

pub use descriptors::make_room;
pub use upkeep::Upkeep;
pub(crate) use upkeep::lacking;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_server::{Server, ServerHandle};
use actix_web::App;
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::web::Data;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::config::{AuditTarget, Config};
use crate::edge::{
    Admission, Callers, Concerns, Edge, EdgeLimits, Gate, Playground, Readiness, Serving, SigningPool, Stage,
    admin_routes, answer, api_routes, observe, playground_routes,
};
use crate::mint::{Mint, TokenCache};
use crate::reload::Generation;
use crate::telemetry::{Audit, Metrics, Traces};
use crate::time::{Clock, Timestamp};
use crate::tls::LiveTls;
use listen::listen;
#[cfg(unix)]
use listen::listen_unix;
use server::{Listening, listen_tcp, listen_tls};
use upkeep::Hangup;

/// How long the audit log and traces each may take to bring out what is waiting, once no request is left.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Connections above the bound that are open long enough to be told so; further ones wait to be accepted. An eighth of
/// the bound comes on top.
const TURNED_AWAY: usize = 16;

/// Connections that the admin listener has open at once; further ones wait.
const ADMIN_CONNECTIONS: usize = 64;

/// Connections that are open at once where `most` are served: those, and the ones that are told that there is no room.
const fn accepted(most: usize) -> usize {
    most.saturating_add(most / 8 + TURNED_AWAY)
}

/// A service that is bound and not yet serving.
pub struct Application {
    api: Server,
    admin: Server,
    bound: Bound,
    admin_address: SocketAddr,
    edge: Data<Edge>,
    config: Config,
    shutdown_delay: Duration,
    /// The file of the Unix socket, which goes with the service.
    #[cfg(unix)]
    socket_file: Option<listen::SocketFile>,
}

/// How the api listener was opened, which no reload changes.
#[derive(Clone, Debug)]
struct Bound {
    /// `None` where a Unix socket stands alone.
    api_address: Option<SocketAddr>,
    /// What handshakes are made from, where there are any.
    tls: Option<Arc<LiveTls>>,
}

impl Application {
    /// Binds every listener that the configuration of `generation` names.
    ///
    /// # Errors
    /// Where an address or a socket cannot be bound.
    pub fn bind(generation: Generation, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let config = generation.config.clone();
        let api = match config.serve.has_api_address {
            true => Some(listen(&config.serve.api, "serve.api")?),
            false => None,
        };
        #[cfg(unix)]
        let (unix, socket_file) = config.serve.unix.as_ref().map(listen_unix).transpose()?.unzip();
        #[cfg(not(unix))]
        anyhow::ensure!(config.serve.unix.is_none(), "serve.api.unix: expected a system that has Unix sockets");
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
                Audit::open(audit, metrics.audit_counts(), Arc::clone(&clock))
                    .with_context(|| format!("audit.to: expected {} to be writable", target(&audit.to)))?,
            ),
        };
        let traces = match &config.traces {
            None => None,
            Some(traces) => Some(
                Traces::start(traces, metrics.trace_counts()).map_err(|error| anyhow::anyhow!("traces: {error}"))?,
            ),
        };
        let edge = Data::new(Edge {
            live: ArcSwap::from_pointee(serving(generation, &bound, None, &metrics)),
            metrics,
            audit,
            traces,
            tokens: TokenCache::new(config.limits.token_cache as u64),
            signing: SigningPool::default(),
            clock: Arc::clone(&clock),
            admission: Admission::new(workers),
            readiness: Readiness::default(),
            concerns: Concerns::default(),
            playground: config.serve.playground.then(|| Playground::new(config.serve.admin.host.clone())),
            overridden: Mutex::default(),
        });

        let keep_alive = match config.limits.keep_alive {
            Duration::ZERO => KeepAlive::Disabled,
            duration => KeepAlive::Timeout(duration),
        };
        let most = config.limits.connections;
        let gate = Arc::new(Gate::api(edge.clone(), most, config.limits.connections_per_peer));
        let mut server = Server::build()
            .workers(workers)
            .max_concurrent_connections(accepted(most).div_ceil(workers))
            .shutdown_timeout(config.serve.shutdown_timeout.as_secs().max(1))
            .disable_signals();
        let listening = Listening { gate, keep_alive, stopping: server.graceful_shutdown_signal() };
        let api_edge = edge.clone();
        let app = move || App::new().app_data(api_edge.clone()).wrap(from_fn(observe)).configure(api_routes);
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
            .max_concurrent_connections(ADMIN_CONNECTIONS)
            .shutdown_timeout(1)
            .disable_signals();
        let listening = Listening {
            gate: Arc::new(Gate::admin(edge.clone())),
            keep_alive: KeepAlive::default(),
            stopping: server.graceful_shutdown_signal(),
        };
        let admin_edge = edge.clone();
        let has_playground = config.serve.playground;
        let app = move || {
            let app = App::new().app_data(admin_edge.clone()).wrap(from_fn(answer)).configure(admin_routes);
            if has_playground { app.configure(playground_routes) } else { app }
        };
        let admin = listen_tcp(server, admin, listening, app)?.run();
        let shutdown_delay = config.serve.shutdown_delay;
        Ok(Self {
            api,
            admin,
            bound,
            admin_address,
            edge,
            config,
            shutdown_delay,
            #[cfg(unix)]
            socket_file,
        })
    }

    /// Where the api listener is bound; `None` where it is a Unix socket alone.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.bound.api_address
    }

    /// Where the admin listener is bound.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until `stop` comes, as [`Application::run`], and takes over what changes meanwhile, as `upkeep` finds it.
    ///
    /// # Errors
    /// Where a listener fails by itself.
    pub async fn run_with(self, upkeep: Upkeep, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        // Before it is told that the service serves, so that who then sends the signal finds it listened to.
        let hangup = Hangup::new();
        let keeping =
            actix_web::rt::spawn(upkeep.keep(self.edge.clone(), self.config.clone(), self.bound.clone(), hangup));
        let result = self.run(stop).await;
        keeping.abort();
        result
    }

    /// Serves until `stop` comes, then goes down in order: readiness turns 503, the api listener closes and finishes
    /// what it has within the configured time, the admin listener goes last.
    ///
    /// # Errors
    /// Where a listener fails by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let api_handle = self.api.handle();
        let admin_handle = self.admin.handle();
        let mut api = actix_web::rt::spawn(self.api);
        let admin = actix_web::rt::spawn(self.admin);
        self.edge.readiness.advance(Stage::Ready);
        self.edge.metrics.set_ready(true);
        let address = self.bound.api_address.map(|address| address.to_string());
        let socket = self.config.serve.unix.as_ref().map(|socket| format!("unix:{}", socket.path.display()));
        let listens = address.into_iter().chain(socket).collect::<Vec<_>>().join(" ");
        info!(api = %listens, admin = %self.admin_address, tls = self.bound.tls.is_some(), "serving");
        if self.edge.playground.is_some() {
            info!(url = %format_args!("http://{}/playground", self.admin_address), "playground");
        }

        tokio::select! {
            () = stop => {}
            ended = &mut api => {
                ended.context("the api listener broke off")?.context("the api listener failed")?;
                warn!("the api listener ended by itself");
            }
        }
        self.edge.readiness.advance(Stage::Stopping);
        self.edge.metrics.set_ready(false);
        info!("stopping: no new connections, requests in flight are finished");
        tokio::time::sleep(self.shutdown_delay).await;
        stop_server(&api_handle, api).await;
        #[cfg(unix)]
        drop(self.socket_file);
        stop_server(&admin_handle, admin).await;
        let edge = self.edge;
        // The threads of the audit log and of traces have had their last.
        tokio::task::spawn_blocking(move || close(&edge)).await?;
        info!("stopped");
        Ok(())
    }
}

fn close(edge: &Edge) {
    if let Some(audit) = &edge.audit {
        audit.close(LAST_WORDS);
    }
    if let Some(traces) = &edge.traces {
        traces.close(LAST_WORDS);
    }
}

fn target(to: &AuditTarget) -> String {
    match to {
        AuditTarget::File(path) => path.display().to_string(),
        AuditTarget::Stdout => "standard output".to_owned(),
    }
}

fn metrics_of(mint: &Mint, now: Timestamp) -> Metrics {
    let metrics = Metrics::new();
    metrics.taken(now);
    count_skipped(&metrics, mint);
    metrics
}

/// Tells how many members of each key set are passed over.
fn count_skipped(metrics: &Metrics, mint: &Mint) {
    metrics
        .keys_skipped(mint.profiles().map(|profile| (profile.spec().key_set.as_str(), profile.keys().skipped().len())));
}

/// What requests are answered from, of `generation`, where it comes after `before`.
fn serving(generation: Generation, bound: &Bound, before: Option<&Serving>, metrics: &Metrics) -> Serving {
    let Generation { mint, config, callers, tls, sources, .. } = generation;
    if let Some(tls) = &tls {
        metrics.certificate_ends(tls.ends().seconds());
    }
    let scheme = if bound.tls.is_some() { "https" } else { "http" };
    let address = bound.api_address.filter(|address| !address.ip().is_unspecified());
    Serving {
        mint,
        sources,
        callers: Callers::new(&callers, before.map(|serving| &serving.callers), metrics),
        client_authority: tls.and_then(|tls| tls.authority().cloned()),
        limits: EdgeLimits {
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

async fn stop_server(handle: &ServerHandle, server: actix_web::rt::task::JoinHandle<std::io::Result<()>>) {
    handle.stop(true).await;
    // It was told to end; how it did no longer changes anything.
    let _ = server.await;
}

/// Completes when the process is told to stop: SIGTERM or SIGINT. From the call on, which needs a runtime, neither ends
/// the process by itself.
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

/// Completes when the process is told to stop.
#[cfg(not(unix))]
pub async fn stop_signal() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
