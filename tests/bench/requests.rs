//! Requests as bytes that are made once, and the few digits in them that change before each is sent.

use crate::fixture::{PERSON_DIGITS, REQUEST_DIGITS};

/// Where the three digits of the profile's number stand in a path, such as `/hydrate/p###`.
pub(crate) const PROFILE_DIGITS: &str = "###";

/// One request, ready to be sent but for its digits; all that are made of it have the same length.
#[derive(Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    request_at: Vec<usize>,
    person_at: Vec<usize>,
    profile_at: Vec<usize>,
}

impl Request {
    /// A request as Oathkeeper's hydrator sends it.
    pub(crate) fn post(path: &str, body: &str) -> Self {
        Self::with("POST", path, body, "")
    }

    /// The same with another method, and with header lines of one's own, each ended by CR LF.
    pub(crate) fn with(method: &str, path: &str, body: &str, headers: &str) -> Self {
        let length = body.len();
        Self::of(format!(
            "{method} {path} HTTP/1.1\r\nHost: claimsmith\r\nUser-Agent: Go-http-client/1.1\r\n{headers}\
             Content-Type: application/json\r\nAccept-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Whatever bytes.
    pub(crate) fn of(text: String) -> Self {
        let places = |digits: &str| text.match_indices(digits).map(|(place, _)| place).collect();
        let profile_at = places(PROFILE_DIGITS);
        let (request_at, person_at) = (places(REQUEST_DIGITS), places(PERSON_DIGITS));
        Self { bytes: text.into_bytes(), request_at, person_at, profile_at }
    }

    /// The bytes to send, with the digits of this request, this person and this profile in them.
    pub(crate) fn numbered(&mut self, request: u64, person: u64, profile: u64) -> &[u8] {
        for place in &self.request_at {
            write_digits(&mut self.bytes[*place..place + 12], request);
        }
        for place in &self.person_at {
            write_digits(&mut self.bytes[*place..place + 12], person);
        }
        for place in &self.profile_at {
            write_digits(&mut self.bytes[*place..place + 3], profile);
        }
        &self.bytes
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum People {
    /// This many people in turn, so that their tokens can be kept.
    Few(u64),
    /// Somebody else each time, whose token nobody can have kept.
    New,
}

/// What becomes of the connection once a request is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer is read, and the connection used again unless the server closes it.
    Answered,
    /// This many hundredths of the request are sent, and the client is gone.
    Vanish(usize),
}

/// One kind of request in a mix.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    pub(crate) people: People,
    /// How many profiles are asked in turn; their numbers start at 0.
    pub(crate) profiles: u64,
    /// The only status that is no error.
    pub(crate) status: u16,
    pub(crate) ending: Ending,
    /// How many of a thousand requests are of this kind.
    pub(crate) share: u64,
}

impl Kind {
    /// The only kind of a load: one person, one profile, always a token.
    pub(crate) fn only(request: Request) -> Self {
        let (people, ending) = (People::Few(1), Ending::Answered);
        Self { name: "all", request, people, profiles: 1, status: 200, ending, share: 1000 }
    }

    /// The bytes of the `number`th request. People who are new are so in all loads of this process.
    pub(crate) fn bytes(&mut self, number: u64) -> &[u8] {
        let person = match self.people {
            People::Few(count) => number % count,
            People::New => 100_000_000_000 + number,
        };
        self.request.numbered(number, person, (number / 7) % self.profiles)
    }
}

/// Which kind the `number`th request is of: exact in every thousand, and spread over it.
pub(crate) fn pick(kinds: &[Kind], number: u64) -> usize {
    let mut place = number * 617 % 1000;
    for (index, kind) in kinds.iter().enumerate() {
        match place.checked_sub(kind.share) {
            None => return index,
            Some(left) => place = left,
        }
    }
    panic!("expected the shares of a mix to sum up to 1000");
}
