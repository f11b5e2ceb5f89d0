//! What one rendering may use: the session, the time, and how much is left of its limits.

use std::collections::HashMap;
use std::rc::Rc;

use super::text::Origin;
use super::urls::Url;
use super::value::{Element, Map, MapType, Value};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::templates::{RenderInput, RenderLimits};

/// How many bytes of text one step pays for.
const BYTES_PER_STEP: u64 = 256;
/// How many times the size of the claims a text may have on its way there.
const TEXT_PER_OUTPUT: usize = 16;
/// What it may always have: whatever a session can hold.
const LEAST_TEXT: usize = 1 << 20;

pub(super) struct Context<'c> {
    pub(super) limits: &'c RenderLimits,
    /// The time now, in seconds since 1970.
    pub(super) now: i64,
    work: u64,
    unpaid_bytes: u64,
    subject: Value,
    extra: Value,
    header: Value,
    groups: Value,
    url: Value,
    method: Value,
    match_header: Value,
    /// Regular expressions that were used already.
    pub(super) regexes: HashMap<Vec<u8>, Rc<super::funcs::Expression>>,
    /// Maps that were changed: only these can hold themselves, so they are emptied at the end.
    changed: HashMap<*const Map, Rc<Map>>,
}

/// Why a rendering stops: a code, and what was expected and found. It holds no value of the session.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A value of a type that cannot be used there.
    pub(super) fn wrong_type(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TemplateWrongType, message)
    }

    /// A value that is not there.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TemplateMissingValue, message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::TemplateLimit, message)
    }
}

impl<'c> Context<'c> {
    pub(super) fn new(input: &RenderInput<'_>, limits: &'c RenderLimits) -> Self {
        let member = |name| input.match_context.member(name).unwrap_or(&Json::Null);
        let extra = match Value::from_json(input.extra, Origin::Data) {
            map @ Value::Map(_) => map,
            _ => Value::nil_map(MapType::Any),
        };
        Self {
            limits,
            now: input.now.seconds(),
            work: 0,
            unpaid_bytes: 0,
            subject: Value::data(input.subject),
            extra,
            header: header(input.header),
            groups: strings(member("regexp_capture_groups")),
            url: Value::Url(Url::from_json(member("url")).map(Rc::new)),
            method: Value::data(member("method").as_str().unwrap_or_default()),
            match_header: header(member("header")),
            changed: HashMap::new(),
            regexes: HashMap::new(),
        }
    }

    pub(super) fn step(&mut self) -> Result<(), Problem> {
        self.steps(1)
    }

    pub(super) fn steps(&mut self, count: u64) -> Result<(), Problem> {
        self.work = self.work.saturating_add(count);
        if self.work > self.limits.work {
            let message = format!("expected at most {} steps of work, found more", self.limits.work);
            return Err(Problem::limit(message));
        }
        Ok(())
    }

    /// Pays for `count` bytes of text that are about to be made or looked at.
    pub(super) fn charge_bytes(&mut self, count: usize) -> Result<(), Problem> {
        let largest = self.limits.output_bytes.saturating_mul(TEXT_PER_OUTPUT).max(LEAST_TEXT);
        if count > largest {
            return Err(Problem::limit(format!("expected texts of at most {largest} bytes, found a longer one")));
        }
        self.unpaid_bytes = self.unpaid_bytes.saturating_add(count as u64);
        let steps = self.unpaid_bytes / BYTES_PER_STEP;
        self.unpaid_bytes %= BYTES_PER_STEP;
        self.steps(steps)
    }

    /// The fields of the session, in Go's order.
    pub(super) fn session_fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Subject", self.subject.clone()),
            ("Extra", self.extra.clone()),
            ("Header", self.header.clone()),
            ("MatchContext", Value::MatchContext),
        ]
    }

    pub(super) fn match_context_fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("RegexpCaptureGroups", self.groups.clone()),
            ("URL", self.url.clone()),
            ("Method", self.method.clone()),
            ("Header", self.match_header.clone()),
        ]
    }

    /// Notes that `map` is about to be changed.
    pub(super) fn change(&mut self, map: &Rc<Map>) {
        self.changed.entry(Rc::as_ptr(map)).or_insert_with(|| Rc::clone(map));
    }
}

impl Drop for Context<'_> {
    fn drop(&mut self) {
        for map in self.changed.values() {
            let entries = std::mem::take(&mut *map.entries.borrow_mut());
            drop(entries);
        }
    }
}

fn strings(json: &Json<'_>) -> Value {
    let items = match json {
        Json::Array(items) => items.iter().map(|item| Value::data(item.as_str().unwrap_or_default())).collect(),
        _ => return Value::nil_list(Element::String),
    };
    Value::list(Element::String, items)
}

fn header(json: &Json<'_>) -> Value {
    match json {
        Json::Object(object) => Value::map(
            MapType::Header,
            object.iter().map(|(name, values)| (name.as_bytes().to_vec(), strings(values))).collect(),
        ),
        _ => Value::nil_map(MapType::Header),
    }
}
