//! What one rendering may use: the session, the time, and how much is left of its limits.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::text::Origin;
use super::urls::Url;
use super::value::{Element, Map, MapType, Value};
use crate::code::ErrorCode;
use crate::json::Json;
use crate::templates::{LostMember, RenderInput, RenderLimits};

/// How many bytes of text one step pays for.
const BYTES_PER_STEP: u64 = 64;
/// How many values of a session one step makes Go's values of.
const VALUES_PER_STEP: u64 = 2;
/// How many bytes a search reads in one step, times the states of its automaton.
const STATES_PER_STEP: u64 = 16;
/// How many times the size of the claims a text may have on its way there.
const TEXT_PER_OUTPUT: usize = 16;
/// What it may always have: whatever a session can hold.
const LEAST_TEXT: usize = 1 << 20;

pub(super) struct Context<'c> {
    pub(super) limits: &'c RenderLimits,
    /// The time now, in seconds since 1970.
    pub(super) now: i64,
    work: u64,
    stop: Option<&'c AtomicBool>,
    unpaid_bytes: u64,
    unpaid_states: u64,
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
    /// What to write instead, if that is known.
    pub(super) help: Option<&'static str>,
    /// The member that the session lacks, if it is known.
    pub(super) lost: Option<Box<LostMember>>,
}

impl Problem {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, lost: None }
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
    pub(super) fn new(input: &RenderInput<'c>, limits: &'c RenderLimits) -> Result<Self, Problem> {
        let member = |name| input.match_context.member(name).unwrap_or(&Json::Null);
        // Go's values are made of all that is selected, before anything is read.
        let converted: u64 = [input.extra, input.header, input.match_context].into_iter().map(values_in).sum();
        let work = converted / VALUES_PER_STEP;
        if work > limits.work {
            return Err(Problem::limit(format!("expected at most {} steps of work, found more", limits.work)));
        }
        let extra = match Value::from_json(input.extra, Origin::Data) {
            map @ Value::Map(_) => map,
            _ => Value::nil_map(MapType::Any),
        };
        Ok(Self {
            limits,
            now: input.now.seconds(),
            work,
            stop: input.stop,
            unpaid_bytes: 0,
            unpaid_states: 0,
            subject: Value::data(input.subject),
            extra,
            header: header(input.header),
            groups: strings(member("regexp_capture_groups")),
            url: Value::Url(Url::from_json(member("url")).map(Rc::new)),
            method: Value::data(member("method").as_str().unwrap_or_default()),
            match_header: header(member("header")),
            changed: HashMap::new(),
            regexes: HashMap::new(),
        })
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
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(Problem::limit("expected a rendering that ends before its deadline"));
        }
        Ok(())
    }

    /// Pays for `count` bytes of text that are about to be made or looked at.
    pub(super) fn charge_bytes(&mut self, count: usize) -> Result<(), Problem> {
        self.charge_reads(count, 1)
    }

    /// Pays for `count` bytes of text that are about to be read `times` times.
    pub(super) fn charge_reads(&mut self, count: usize, times: usize) -> Result<(), Problem> {
        let largest = self.limits.output_bytes.saturating_mul(TEXT_PER_OUTPUT).max(LEAST_TEXT);
        if count > largest {
            return Err(Problem::limit(format!("expected texts of at most {largest} bytes, found a longer one")));
        }
        self.unpaid_bytes = self.unpaid_bytes.saturating_add((count as u64).saturating_mul(times as u64));
        let steps = self.unpaid_bytes / BYTES_PER_STEP;
        self.unpaid_bytes %= BYTES_PER_STEP;
        self.steps(steps)
    }

    /// Pays for a search that is about to read `bytes` with an automaton of `states`.
    pub(super) fn search(&mut self, states: u64, bytes: usize) -> Result<(), Problem> {
        self.unpaid_states = self.unpaid_states.saturating_add(states.saturating_mul(bytes as u64));
        let steps = self.unpaid_states / STATES_PER_STEP;
        self.unpaid_states %= STATES_PER_STEP;
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

/// How many values stand in `json`.
fn values_in(json: &Json<'_>) -> u64 {
    match json {
        Json::Array(elements) => 1 + elements.iter().map(values_in).sum::<u64>(),
        Json::Object(object) => 1 + object.iter().map(|(_, value)| 1 + values_in(value)).sum::<u64>(),
        _ => 1,
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
