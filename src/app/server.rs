//! HTTP over each kind of socket. actix-web's own server has no hook between a socket and HTTP; here the hook is a
//! [`PacedStream`] over a [`TimeoutStream`], and the reasons for closed connections are counted.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_factory, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::reexports::ServerConfig;
use actix_tls::accept::rustls_0_23::{Acceptor, AcceptorService, TlsStream};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Service as _, ServiceResponse};
use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::edge::grpc::GrpcServer;
use crate::edge::http::{Connection, ConnectionGate, PacedStream, TimeoutStream};
use crate::telemetry::CloseReason;
use crate::tls::ClientChain;

/// The time for which a client can still send its body after it got an early error response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings that the sockets of one listener share.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) gate: Arc<ConnectionGate>,
    /// The time for which an idle connection stays open.
    pub(super) keep_alive: KeepAlive,
    /// Signals that idle connections must close.
    pub(super) stopping: GracefulShutdownSignal,
}

/// Serves `app` on `socket`.
pub(super) fn listen_tcp<A, I, S, B>(
    server: ServerBuilder,
    socket: TcpListener,
    listening: Listening,
    app: A,
) -> io::Result<ServerBuilder>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    server.listen("tcp", socket, move || {
        let gate = Arc::clone(&listening.gate);
        fn_service(move |io: TcpStream| {
            let address = io.peer_addr().ok();
            let connection = gate.enter(address.map(|address| address.ip()));
            let stream = connection.map(|connection| (paced(io, connection), address));
            async { stream.ok_or_else(rejected) }
        })
        .and_then(http(&listening, &app))
    })
}

/// Serves `app` on `socket` over TLS, configured by `tls`.
pub(super) fn listen_tls<A, I, S, B>(
    server: ServerBuilder,
    socket: TcpListener,
    mut tls: ServerConfig,
    listening: Listening,
    app: A,
) -> io::Result<ServerBuilder>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = Acceptor::new(tls);
    server.listen("tls", socket, move || {
        let (gate, acceptor) = (Arc::clone(&listening.gate), acceptor.clone());
        fn_factory(move || {
            let (gate, acceptor) = (Arc::clone(&gate), ServiceFactory::<TcpStream>::new_service(&acceptor, ()));
            async move {
                let acceptor = Rc::new(acceptor.await?);
                Ok::<_, ()>(fn_service(move |io: TcpStream| {
                    let (gate, acceptor) = (Arc::clone(&gate), Rc::clone(&acceptor));
                    async move {
                        let (io, connection, address) = secured(io, &gate, &acceptor).await?;
                        Ok((paced(io, connection), address))
                    }
                }))
            }
        })
        .and_then(http(&listening, &app))
    })
}

/// Returns the stream of a connection after its TLS handshake.
///
/// # Errors
/// Fails if the connection is closed, which is counted.
async fn secured(
    io: TcpStream,
    gate: &Arc<ConnectionGate>,
    acceptor: &AcceptorService,
) -> Result<(TlsStream<TcpStream>, Connection, Option<SocketAddr>), DispatchError> {
    let address = io.peer_addr().ok();
    let connection = gate.enter(address.map(|address| address.ip())).ok_or_else(rejected)?;
    // Handshakes count as connections. A limit of their own could be exhausted by handshakes that no client continues.
    let handshake = tokio::time::timeout(gate.client_timeout(), acceptor.call(io));
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        () = connection.evicted() => {
            gate.count_closed(CloseReason::Evicted);
            return Err(rejected());
        }
    };
    let Ok(Ok(io)) = handshake else {
        gate.count_closed(CloseReason::Handshake);
        return Err(rejected());
    };
    let connection = connection.secured(ClientChain::of(io.get_ref().1));
    Ok((io, connection, address))
}

/// Serves gRPC on `socket`, over TLS if it is configured.
pub(super) fn listen_grpc(
    server: ServerBuilder,
    socket: TcpListener,
    tls: Option<ServerConfig>,
    gate: Arc<ConnectionGate>,
    grpc: Arc<GrpcServer>,
) -> io::Result<ServerBuilder> {
    let stopping = server.graceful_shutdown_signal();
    let acceptor = tls.map(|mut tls| {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Acceptor::new(tls)
    });
    server.listen("grpc", socket, move || {
        let (gate, grpc, stopping, acceptor) =
            (Arc::clone(&gate), Arc::clone(&grpc), stopping.clone(), acceptor.clone());
        fn_factory(move || {
            let acceptor = acceptor.clone().map(|acceptor| ServiceFactory::<TcpStream>::new_service(&acceptor, ()));
            let (gate, grpc, stopping) = (Arc::clone(&gate), Arc::clone(&grpc), stopping.clone());
            async move {
                let acceptor = match acceptor {
                    Some(acceptor) => Some(Rc::new(acceptor.await?)),
                    None => None,
                };
                Ok::<_, ()>(fn_service(move |io: TcpStream| {
                    let (gate, grpc, stopping, acceptor) =
                        (Arc::clone(&gate), Arc::clone(&grpc), stopping.clone(), acceptor.clone());
                    async move {
                        // Responses are small and must not wait for an acknowledgement.
                        let _ = io.set_nodelay(true);
                        let stopped = async { stopping.notified().await };
                        if let Some(acceptor) = acceptor {
                            let (io, connection, address) = secured(io, &gate, &acceptor).await?;
                            grpc.serve(io, connection, address.map(|address| address.ip()), stopped).await;
                        } else {
                            let address = io.peer_addr().ok().map(|address| address.ip());
                            let connection = gate.enter(address).ok_or_else(rejected)?;
                            grpc.serve(io, connection, address, stopped).await;
                        }
                        Ok::<_, DispatchError>(())
                    }
                }))
            }
        })
    })
}

/// Serves `app` on `socket`.
#[cfg(unix)]
pub(super) fn listen_unix<A, I, S, B>(
    server: ServerBuilder,
    socket: std::os::unix::net::UnixListener,
    listening: Listening,
    app: A,
) -> io::Result<ServerBuilder>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    server.listen_uds("unix", socket, move || {
        let gate = Arc::clone(&listening.gate);
        fn_service(move |io: actix_web::rt::net::UnixStream| {
            let stream = gate.enter(None).map(|connection| (paced(io, connection), None));
            async { stream.ok_or_else(rejected) }
        })
        .and_then(http(&listening, &app))
    })
}

/// Returns the stream `io` of `connection` as the HTTP layer reads it.
fn paced<IO>(io: IO, connection: Connection) -> PacedStream<IO> {
    PacedStream::new(TimeoutStream::new(io, connection))
}

/// Returns the error for a connection that was closed and counted already.
fn rejected() -> DispatchError {
    DispatchError::DisconnectTimeout
}

/// Serves `app` over HTTP/1 on any kind of stream.
fn http<IO, A, I, S, B>(
    listening: &Listening,
    app: &A,
) -> impl ServiceFactory<
    (PacedStream<IO>, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
> + use<IO, A, I, S, B>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    A: Fn() -> I,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    B: MessageBody + 'static,
{
    let (gate, stopping) = (Arc::clone(&listening.gate), listening.stopping.clone());
    let app = app().into_factory().map_err(|error: actix_web::Error| error.error_response());
    let app = apply_fn_factory(map_config(app, |()| AppConfig::default()), |request: Request, service| {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let has_body = connection.as_ref().is_some_and(|connection| connection.begin_request(request.head()));
        let answering = service.call(request);
        async move {
            let mut answering = pin!(answering);
            let first = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
            let mut answer = match first {
                Poll::Ready(answer) => {
                    // The HTTP layer passes on the body after the first poll, even if it has it already. It would close
                    // the connection after a response that is ready before.
                    if has_body {
                        tokio::task::yield_now().await;
                    }
                    answer
                }
                Poll::Pending => answering.await,
            };
            match (&mut answer, connection) {
                (Ok(response), Some(connection)) => connection.end_request(response.response_mut().head_mut()),
                (Err(_), Some(connection)) => connection.fail_request(),
                (_, None) => {}
            }
            answer
        }
    });
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(listening.keep_alive)
        // `TimeoutStream` has this timeout, for the first request head and for later ones.
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER_TIMEOUT)
        .on_connect_ext(|stream: &PacedStream<IO>, extensions| drop(extensions.insert(Rc::clone(stream.connection()))))
        .h1(app)
        .map_err(move |error| {
            if matches!(error, DispatchError::Parse(_)) {
                gate.count_closed(CloseReason::Malformed);
            }
            error
        })
}
