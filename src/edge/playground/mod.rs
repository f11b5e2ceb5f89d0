//! The playground on the admin listener: a page that tries a claims template on a session, live.
//!
//! The adapter of [`Mint::try_out`](crate::mint::Mint::try_out), which signs nothing. Who may come is for [`visitor`];
//! what a trial may cost is what a request for a token may, and one is made at a time, apart from the async threads.

mod answer;
mod asked;
mod visitor;

pub(crate) use visitor::receive;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;

use super::problem::Problem;
use super::{Edge, Serving, body, refuse};
use crate::code::ErrorCode;
use crate::config::Host;
use crate::mint::try_conversion;
use asked::{Asked, Conversion};

/// What the playground of a service shares.
pub struct Playground {
    /// The host that the admin listener is configured with.
    host: Host,
    /// Lets a few bodies be read at a time, so that they never take much memory.
    bodies: Semaphore,
    /// Lets one trial in at a time, so that the playground never takes more than one core.
    room: Arc<Semaphore>,
}

/// Bodies that are in memory at a time.
const BODIES: usize = 4;
/// A trial's body holds more than the session, whose quotes are escaped in it.
const BESIDE_THE_SESSION: usize = 256 * 1024;

/// Bytes of a trial's stack, of which only those count that are used. Templates of files are their operator's; these come
/// from whoever asks, and a stack that overflows would take the service down.
const STACK: usize = 64 << 20;

impl Playground {
    /// The playground of an admin listener that is configured with `host`.
    pub fn new(host: Host) -> Self {
        Self { host, bodies: Semaphore::new(BODIES), room: Arc::new(Semaphore::new(1)) }
    }
}

impl fmt::Debug for Playground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playground").field("host", &self.host).finish_non_exhaustive()
    }
}

/// `GET /playground`
pub(crate) async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

/// `GET /playground/app.js`
pub(crate) async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("app.js"))
}

/// `GET /playground/style.css`
pub(crate) async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("style.css"))
}

fn file(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).body(text)
}

/// `GET /playground/profiles`: what may be tried to begin with.
pub(crate) async fn profiles(edge: Data<Edge>) -> HttpResponse {
    let serving = edge.live.load_full();
    json(answer::profiles(&serving, edge.clock.now()))
}

/// `POST /playground/evaluate`: what a template makes of a session, or what is wrong with either.
pub(crate) async fn evaluate(request: HttpRequest, edge: Data<Edge>, payload: Payload) -> HttpResponse {
    let (serving, now) = (edge.live.load_full(), edge.clock.now());
    let trial = move |serving: &Serving, body: &Bytes| {
        let asked = Asked::parse(body, &serving.mint)?;
        let partials = serving.sources.as_deref().map_or(&[][..], |sources| &sources.partials);
        let trial = asked.trial(partials, &serving.limits);
        let at = asked.at.unwrap_or(now);
        let tried = serving.mint.try_out(asked.profile, &trial, at, || Uuid::new_v4().to_string());
        Ok(answer::tried(&tried, &asked.misfits))
    };
    apart(&request, &edge, serving, payload, trial).await
}

/// `POST /playground/convert`: a Go template in Handlebars, or why not.
pub(crate) async fn convert(request: HttpRequest, edge: Data<Edge>, payload: Payload) -> HttpResponse {
    let trial = |_: &Serving, body: &Bytes| {
        let asked = Conversion::parse(body)?;
        Ok(answer::converted(try_conversion(&asked.template)))
    };
    let serving = edge.live.load_full();
    apart(&request, &edge, serving, payload, trial).await
}

/// Reads the body and answers with what `trial` makes of it, on a thread of its own, within the deadline of a request.
async fn apart(
    request: &HttpRequest,
    edge: &Edge,
    serving: Arc<Serving>,
    payload: Payload,
    trial: impl FnOnce(&Serving, &Bytes) -> Result<String, Problem> + Send + 'static,
) -> HttpResponse {
    let deadline = serving.limits.request;
    let answer = async {
        let Some(playground) = &edge.playground else { return Err(Problem::new(ErrorCode::Internal, "")) };
        visitor::demand_json(request.headers())?;
        let internal = || Problem::new(ErrorCode::Internal, "");
        let _turn = playground.bodies.acquire().await.map_err(|_| internal())?;
        let most = serving.limits.body.saturating_mul(2).saturating_add(BESIDE_THE_SESSION);
        let body = pin!(body::read(request.headers(), payload, most)).await?;
        let permit = Arc::clone(&playground.room).acquire_owned().await.map_err(|_| internal())?;
        let (done, answer) = oneshot::channel();
        // Whoever asked may have gone before it ends; the room is taken until then all the same.
        let work = move || {
            let _permit = permit;
            let _ = done.send(trial(&serving, &body));
        };
        let thread = std::thread::Builder::new().name("playground".to_owned()).stack_size(STACK);
        thread.spawn(work).map_err(|_| internal())?;
        // A fault of claimsmith ends the thread, and nothing is sent then.
        answer.await.map_err(|_| internal())?
    };
    match tokio::time::timeout(deadline, answer).await {
        Ok(Ok(text)) => json(text),
        Ok(Err(problem)) => refuse(request, problem),
        Err(_) => refuse(request, late(deadline)),
    }
}

fn late(deadline: Duration) -> Problem {
    let detail = format!("expected the body and its trial to take at most {deadline:?} (limits.request)");
    Problem::new(ErrorCode::RequestTimeout, detail)
}

fn json(text: String) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(text)
}
