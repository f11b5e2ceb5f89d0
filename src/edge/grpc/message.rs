//! gRPC over HTTP/2 for unary calls: one message in, one message or a status out ("gRPC over HTTP2" of the gRPC project).

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::code::ErrorCode;
use crate::edge::http::problem::status_and_title;
use crate::service::Refusal;

/// The media type of requests and responses. Requests can have a suffix, such as `+proto`.
pub(super) const MEDIA_TYPE: &str = "application/grpc";

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What a status message cannot have unencoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// The status codes of gRPC that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Status {
    /// Returns the status of `code`.
    pub(super) fn of(code: ErrorCode) -> Self {
        match (code, status_and_title(code).0.as_u16()) {
            (ErrorCode::RequestMediaType | ErrorCode::RequestPath, _) => Status::Unimplemented,
            (_, 400) => Status::InvalidArgument,
            (_, 401) => Status::Unauthenticated,
            (_, 403) => Status::PermissionDenied,
            (_, 404) => Status::NotFound,
            (_, 408) => Status::DeadlineExceeded,
            (_, 413 | 429 | 431) => Status::ResourceExhausted,
            (_, 422) => Status::FailedPrecondition,
            (_, 503) => Status::Unavailable,
            _ => Status::Internal,
        }
    }
}

/// The body of a response: a message with trailers, or nothing.
#[derive(Debug, Default)]
pub(super) struct Reply {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let data = self.message.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.message.as_ref().map_or(0, |message| message.len() as u64))
    }
}

/// Returns a response with `message`.
pub(super) fn success(message: &impl prost::Message) -> Response<Reply> {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX + length);
    bytes.push(0);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    // A vector has room for every message.
    let _ = message.encode(&mut bytes);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    response(Reply { message: Some(bytes.into()), trailers: Some(trailers) })
}

/// Returns a response with `status` alone.
pub(super) fn failure(status: Status, detail: &str) -> Response<Reply> {
    let mut response = response(Reply::default());
    response.headers_mut().insert(STATUS, HeaderValue::from(status as u16));
    let encoded = utf8_percent_encode(detail, ENCODED).to_string();
    if let Ok(message) = HeaderValue::from_str(&encoded) {
        response.headers_mut().insert(MESSAGE, message);
    }
    response
}

/// Returns the response with `status` to a request that is not one of gRPC.
pub(super) fn not_grpc(status: u16) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    response
}

fn response(reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// Reads the only message of a request, of at most `most` bytes.
///
/// # Errors
/// A refusal of a message that is compressed, incomplete, too large, or not the only one, or that is not of type `M`.
pub(super) async fn read<M: prost::Message + Default>(mut body: Incoming, most: usize) -> Result<M, Refusal> {
    let mut bytes: Vec<u8> = Vec::new();
    let incomplete = || Refusal::new(ErrorCode::RequestBodyIncomplete, "expected one whole message, found less");
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| incomplete())?;
        let Ok(data) = frame.into_data() else { continue };
        bytes.extend_from_slice(&data);
        let length = length(&bytes, most)?;
        if length.is_some_and(|length| bytes.len() > PREFIX + length) {
            return Err(malformed("expected one message, found more"));
        }
    }
    match length(&bytes, most)? {
        Some(length) if bytes.len() == PREFIX + length => {}
        _ => return Err(incomplete()),
    }
    M::decode(&bytes[PREFIX..]).map_err(|_| malformed("expected a message of this method, found other bytes"))
}

/// Returns the length in the prefix; `None` if it is not there yet.
fn length(bytes: &[u8], most: usize) -> Result<Option<usize>, Refusal> {
    let Some((prefix, _)) = bytes.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        let detail = "expected a message without compression, found a compressed one";
        return Err(Refusal::new(ErrorCode::RequestMediaType, detail));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        let detail = format!("expected a message of at most {most} bytes (limits.body for checks), found more");
        return Err(Refusal::new(ErrorCode::RequestBodyTooLarge, detail));
    }
    Ok(Some(length))
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(ErrorCode::RequestMalformed, detail)
}

/// Returns the time in the header `grpc-timeout`: at most eight digits and a unit. Other text sets no limit.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = digits.parse().ok().filter(|_| is_number)?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeout_is_a_number_with_a_unit() {
        for (text, expected) in [
            ("200m", Some(Duration::from_millis(200))),
            ("1S", Some(Duration::from_secs(1))),
            ("2M", Some(Duration::from_secs(120))),
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("100000000u", None),
            ("+5m", None),
            ("m", None),
            ("", None),
            ("5", None),
            ("5s", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
            assert_eq!(timeout(&headers), expected, "{text}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn prefix_limits_a_message_before_it_is_read() {
        let code = |bytes: &[u8]| length(bytes, 16).map_err(|refusal| refusal.code);
        assert_eq!(code(&[0, 0, 0, 0]), Ok(None));
        assert_eq!(code(&[0, 0, 0, 0, 16]), Ok(Some(16)));
        assert_eq!(code(&[0, 0, 0, 0, 17]), Err(ErrorCode::RequestBodyTooLarge));
        assert_eq!(code(&[0, 255, 255, 255, 255]), Err(ErrorCode::RequestBodyTooLarge));
        assert_eq!(code(&[1, 0, 0, 0, 1, 0]), Err(ErrorCode::RequestMediaType));
    }

    #[test]
    fn status_message_is_encoded() {
        let response = failure(Status::Internal, "50% \u{fc}\n");
        assert_eq!(response.headers()[MESSAGE], "50%25 %C3%BC%0A");
        assert_eq!(response.headers()[STATUS], "13");
    }
}
