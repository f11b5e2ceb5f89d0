//! Fields and methods of values.

use super::context::{Context, Problem};
use super::dates::{Time, Zone, rounded_duration};
use super::funcs::{Function, Type, method as entry};
use super::text::{Origin, Text};
use super::urls::{self, Part, Url};
use super::value::{Element, IntType, Map, MapType, UintType, Value};
use super::versions::Version;

type Called = Result<Value, Problem>;

/// The field `name` of a struct or the entry of a map.
pub(super) fn field(context: &mut Context<'_>, receiver: &Value, name: &str) -> Called {
    let fields = match receiver {
        Value::Map(map) => {
            context.charge_lookup(name.len(), map.entries.borrow().len())?;
            return Ok(match map.entries.borrow().get(name.as_bytes()) {
                Some(value) => value.clone(),
                None => zero_element(map.kind),
            });
        }
        Value::Session => context.session_fields(),
        Value::MatchContext => context.match_context_fields(),
        Value::Url(Some(url)) => url.fields(),
        Value::Url(None) => {
            return Err(Problem::missing(format!("expected a URL with the field {name}, found nil")));
        }
        _ => Vec::new(),
    };
    match fields.into_iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok(value),
        None => {
            let message = format!("expected a value with the field {name}, found {}", receiver.type_name());
            Err(Problem::wrong_type(message))
        }
    }
}

/// How many bytes the text of a URL, its user or a version has.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Url(Some(url)) => {
            let parts = [&url.scheme, &url.opaque, &url.host, &url.path, &url.raw_path, &url.raw_query];
            let parts = parts.into_iter().chain([&url.fragment, &url.raw_fragment]).map(String::len).sum::<usize>();
            parts + url.user.as_ref().map_or(0, |user| user.len())
        }
        Value::UserInfo(Some(user)) => user.len(),
        Value::Version(version) | Value::PlainVersion(version) => {
            version.prerelease.len() + version.metadata.len() + version.original.len()
        }
        _ => 0,
    }
}

/// What a map without the key gives.
pub(super) fn zero_element(kind: MapType) -> Value {
    match kind {
        MapType::Any => Value::NilInterface,
        MapType::Strings => Value::text(Text::default()),
        MapType::Header | MapType::Values => Value::nil_list(Element::String),
    }
}

/// The method `name` of `receiver`, which is its first argument.
pub(super) fn method(receiver: &Value, name: &str) -> Option<&'static Function> {
    let methods = match receiver {
        Value::Url(_) => URL,
        Value::UserInfo(_) => USER,
        Value::Map(map) if map.kind == MapType::Header => HEADER,
        Value::Map(map) if map.kind == MapType::Values => VALUES,
        Value::Time(_) => TIME,
        Value::Int(IntType::Duration, _) => DURATION,
        Value::Int(IntType::Month | IntType::Weekday, _) => NAMED,
        Value::Location(_) => LOCATION,
        Value::Version(_) => VERSION,
        // Methods of the pointer are not there for the value.
        Value::PlainVersion(_) => return VERSION.iter().find(|known| known.name == name && !is_of_pointer(name)),
        _ => return None,
    };
    methods.iter().find(|function| function.name == name)
}

const NONE: &[Type] = &[];
const STEP: &[Type] = &[Type::Duration];
const TEXT: &[Type] = &[Type::String];

static URL: &[Function] = &[
    entry("EscapedFragment", NONE, |_, values| part(values, Url::escaped_fragment)),
    entry("EscapedPath", NONE, |_, values| part(values, Url::escaped_path)),
    entry("Hostname", NONE, |_, values| part(values, |url| url.host_parts().0.to_owned())),
    entry("IsAbs", NONE, |_, values| Ok(Value::Bool(!url(values)?.scheme.is_empty()))),
    Function { variadic: Some(Type::String), ..entry("JoinPath", NONE, join_path) },
    entry("MarshalBinary", NONE, |_, values| Ok(Value::bytes(url(values)?.to_text().as_bytes()))),
    entry("Parse", TEXT, |_, values| {
        let text = text(values, 1);
        let reference = std::str::from_utf8(text.bytes()).ok().and_then(Url::parse);
        let Some(reference) = reference else {
            return Err(Problem::wrong_type("expected a URL, found other text"));
        };
        let reference = Url { is_mixed: text.origin() != Origin::Data, ..reference };
        match values.first() {
            // Whole addresses need no base.
            Some(Value::Url(None)) if !reference.scheme.is_empty() => resolved(&Url::default(), &reference),
            _ => resolved(url(values)?, &reference),
        }
    }),
    entry("Port", NONE, |_, values| part(values, |url| url.host_parts().1.to_owned())),
    entry("Query", NONE, |_, values| Ok(url(values)?.query())),
    entry("Redacted", NONE, |_, values| match values.first() {
        Some(Value::Url(None)) => Ok(Value::text(Text::default())),
        _ => part(values, Url::redacted),
    }),
    entry("RequestURI", NONE, |_, values| part(values, Url::request_uri)),
    entry("ResolveReference", &[Type::Any], |_, values| match values.get(1) {
        Some(Value::Url(Some(reference))) if !reference.scheme.is_empty() => resolved(&Url::default(), reference),
        Some(Value::Url(Some(reference))) => resolved(url(values)?, reference),
        _ => Err(Problem::wrong_type("expected a URL, found something else")),
    }),
    entry("String", NONE, |_, values| part(values, Url::to_text)),
];

static USER: &[Function] = &[
    entry("String", NONE, |_, values| match values.first() {
        Some(Value::UserInfo(Some(user))) => Ok(Value::data(user.to_text())),
        _ => Ok(Value::text(Text::default())),
    }),
    entry("Username", NONE, |_, values| match values.first() {
        Some(Value::UserInfo(Some(user))) => Ok(Value::data(user.name.as_str())),
        _ => Ok(Value::text(Text::default())),
    }),
];

static HEADER: &[Function] = &[
    without_result("Add"),
    entry("Clone", NONE, |context, values| super::funcs::copied(context, values.first().unwrap_or(&Value::Invalid), 0)),
    without_result("Del"),
    entry("Get", TEXT, |_, values| {
        let name = urls::canonical_header(&bytes(values, 1));
        Ok(first_of(values, &name))
    }),
    entry("Values", TEXT, |_, values| {
        let name = urls::canonical_header(&bytes(values, 1));
        let found = map(values).and_then(|map| map.entries.borrow().get(&name).cloned());
        Ok(found.unwrap_or_else(|| zero_element(MapType::Header)))
    }),
    without_result("Set"),
    without_result("Write"),
    without_result("WriteSubset"),
];

static VALUES: &[Function] = &[
    without_result("Add"),
    without_result("Del"),
    entry("Encode", NONE, |context, values| {
        let mut pairs = Vec::new();
        if let Some(map) = map(values) {
            for (name, items) in map.entries.borrow().iter() {
                if let Value::List(list) = items {
                    for item in list.items().iter() {
                        if let Value::String(item) = item {
                            context.step()?;
                            context.charge_reads(name.len() + item.len(), 16)?;
                            let value = urls::escape(item.bytes(), Part::Query);
                            pairs.push(format!("{}={value}", urls::escape(name, Part::Query)));
                        }
                    }
                }
            }
        }
        Ok(Value::data(pairs.join("&")))
    }),
    entry("Get", TEXT, |_, values| Ok(first_of(values, &bytes(values, 1)))),
    entry("Has", TEXT, |_, values| {
        let name = bytes(values, 1);
        Ok(Value::Bool(map(values).is_some_and(|map| map.entries.borrow().contains_key(&name))))
    }),
    without_result("Set"),
];

static TIME: &[Function] = &[
    entry("Add", STEP, |_, values| Ok(Value::Time(time(values, 0)?.plus(int(values, 1))))),
    entry("AddDate", &[Type::Int, Type::Int, Type::Int], |_, values| {
        let later = time(values, 0)?.plus_date(int(values, 1), int(values, 2), int(values, 3));
        later.map(Value::Time).ok_or_else(|| Problem::limit("expected a date that is nearer, found a farther one"))
    }),
    entry("After", &[Type::Time], |_, values| Ok(Value::Bool(order(values)?.is_gt()))),
    entry("Before", &[Type::Time], |_, values| Ok(Value::Bool(order(values)?.is_lt()))),
    entry("Compare", &[Type::Time], |_, values| Ok(Value::int(order(values)? as i64))),
    entry("Day", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().day))),
    entry("Equal", &[Type::Time], |_, values| Ok(Value::Bool(order(values)?.is_eq()))),
    entry("Format", TEXT, |_, values| Ok(Value::text(time(values, 0)?.format_text(&text(values, 1))))),
    entry("GoString", NONE, |_, values| Ok(Value::text(Text::new(time(values, 0)?.to_go_syntax(), Origin::Syntax)))),
    entry("GobEncode", NONE, |_, values| Ok(Value::bytes(&time(values, 0)?.to_binary()))),
    entry("Hour", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().hour))),
    entry("In", &[Type::Any], |_, values| match values.get(1) {
        Some(Value::Location(zone)) => Ok(Value::Time(time(values, 0)?.within(zone.clone()))),
        _ => Err(Problem::wrong_type("expected a location, found something else")),
    }),
    // Zones that have daylight saving time write dates, but no value keeps them.
    entry("IsDST", NONE, |_, values| time(values, 0).map(|_| Value::Bool(false))),
    entry("IsZero", NONE, |_, values| Ok(Value::Bool(time(values, 0)?.is_zero()))),
    entry("Local", NONE, |_, values| Ok(Value::Time(time(values, 0)?.within(Zone::Local)))),
    entry("Location", NONE, |_, values| Ok(Value::Location(time(values, 0)?.zone))),
    entry("MarshalBinary", NONE, |_, values| Ok(Value::bytes(&time(values, 0)?.to_binary()))),
    entry("MarshalJSON", NONE, |_, values| rfc3339(values).map(|text| Value::bytes(format!("\"{text}\"").as_bytes()))),
    entry("MarshalText", NONE, |_, values| rfc3339(values).map(|text| Value::bytes(text.as_bytes()))),
    entry("Minute", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().minute))),
    entry("Month", NONE, |_, values| Ok(Value::Int(IntType::Month, time(values, 0)?.parts().month))),
    entry("Nanosecond", NONE, |_, values| Ok(Value::int(i64::from(time(values, 0)?.nanos)))),
    entry("Round", STEP, |_, values| Ok(Value::Time(time(values, 0)?.rounded(int(values, 1))))),
    entry("Second", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().second))),
    entry("String", NONE, |_, values| Ok(Value::data(time(values, 0)?.to_go_string()))),
    entry("Sub", &[Type::Time], |_, values| {
        Ok(Value::Int(IntType::Duration, time(values, 0)?.since(&time(values, 1)?)))
    }),
    entry("Truncate", STEP, |_, values| Ok(Value::Time(time(values, 0)?.truncated(int(values, 1))))),
    entry("UTC", NONE, |_, values| Ok(Value::Time(time(values, 0)?.within(Zone::Utc)))),
    entry("Unix", NONE, |_, values| Ok(Value::int64(time(values, 0)?.seconds))),
    entry("UnixMicro", NONE, |_, values| Ok(Value::int64(scaled(&time(values, 0)?, 1_000_000)))),
    entry("UnixMilli", NONE, |_, values| Ok(Value::int64(scaled(&time(values, 0)?, 1_000)))),
    entry("UnixNano", NONE, |_, values| Ok(Value::int64(scaled(&time(values, 0)?, 1_000_000_000)))),
    entry("Weekday", NONE, |_, values| Ok(Value::Int(IntType::Weekday, time(values, 0)?.parts().weekday))),
    entry("Year", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().year))),
    entry("YearDay", NONE, |_, values| Ok(Value::int(time(values, 0)?.parts().year_day))),
];

static DURATION: &[Function] = &[
    entry("Abs", NONE, |_, values| Ok(Value::Int(IntType::Duration, int(values, 0).saturating_abs()))),
    entry("Hours", NONE, |_, values| Ok(Value::Float(in_units(int(values, 0), 3_600_000_000_000)))),
    entry("Microseconds", NONE, |_, values| Ok(Value::int64(int(values, 0) / 1_000))),
    entry("Milliseconds", NONE, |_, values| Ok(Value::int64(int(values, 0) / 1_000_000))),
    entry("Minutes", NONE, |_, values| Ok(Value::Float(in_units(int(values, 0), 60_000_000_000)))),
    entry("Nanoseconds", NONE, |_, values| Ok(Value::int64(int(values, 0)))),
    entry("Round", STEP, |_, values| {
        Ok(Value::Int(IntType::Duration, rounded_duration(int(values, 0), int(values, 1))))
    }),
    entry("Seconds", NONE, |_, values| Ok(Value::Float(in_units(int(values, 0), 1_000_000_000)))),
    entry("String", NONE, named_text),
    entry("Truncate", STEP, |_, values| {
        let (nanos, step) = (int(values, 0), int(values, 1));
        Ok(Value::Int(IntType::Duration, if step > 0 { nanos - nanos % step } else { nanos }))
    }),
];

static LOCATION: &[Function] = &[entry("String", NONE, |_, values| match values.first() {
    Some(Value::Location(zone)) => Ok(Value::data(zone.name())),
    _ => Err(Problem::wrong_type("expected a location, found something else")),
})];

static NAMED: &[Function] = &[entry("String", NONE, named_text)];

static VERSION: &[Function] = &[
    entry("IncMajor", NONE, |_, values| version(values, |version| increased(version, 0))),
    entry("IncMinor", NONE, |_, values| version(values, |version| increased(version, 1))),
    entry("IncPatch", NONE, |_, values| version(values, |version| increased(version, 2))),
    entry("Major", NONE, |_, values| version(values, |version| uint(version.numbers[0]))),
    entry("MarshalJSON", NONE, |_, values| {
        version(values, |version| Value::bytes(format!("\"{version}\"").as_bytes()))
    }),
    entry("MarshalText", NONE, |_, values| version(values, |version| Value::bytes(version.to_string().as_bytes()))),
    entry("Metadata", NONE, |_, values| version(values, |version| Value::data(version.metadata.as_str()))),
    entry("Minor", NONE, |_, values| version(values, |version| uint(version.numbers[1]))),
    entry("Original", NONE, |_, values| version(values, |version| Value::data(version.original.as_str()))),
    entry("Patch", NONE, |_, values| version(values, |version| uint(version.numbers[2]))),
    entry("Prerelease", NONE, |_, values| version(values, |version| Value::data(version.prerelease.as_str()))),
    entry("SetMetadata", TEXT, |_, values| changed_version(values, Version::with_metadata)),
    entry("SetPrerelease", TEXT, |_, values| changed_version(values, Version::with_prerelease)),
    entry("String", NONE, |_, values| version(values, |version| Value::data(version.to_string()))),
    entry("Value", NONE, |_, values| version(values, |version| Value::data(version.to_string()))),
    entry("Compare", &[Type::Any], |_, values| Ok(Value::int(version_order(values)? as i64))),
    entry("Equal", &[Type::Any], |_, values| Ok(Value::Bool(version_order(values)?.is_eq()))),
    entry("GreaterThan", &[Type::Any], |_, values| Ok(Value::Bool(version_order(values)?.is_gt()))),
    entry("GreaterThanEqual", &[Type::Any], |_, values| Ok(Value::Bool(version_order(values)?.is_ge()))),
    entry("LessThan", &[Type::Any], |_, values| Ok(Value::Bool(version_order(values)?.is_lt()))),
    entry("LessThanEqual", &[Type::Any], |_, values| Ok(Value::Bool(version_order(values)?.is_le()))),
];

fn url(values: &[Value]) -> Result<&Url, Problem> {
    match values.first() {
        Some(Value::Url(Some(url))) => Ok(url),
        _ => Err(Problem::missing("expected a URL, found nil")),
    }
}

fn part(values: &[Value], read: impl Fn(&Url) -> String) -> Called {
    let url = url(values)?;
    Ok(url.part(read(url)))
}

fn resolved(base: &Url, reference: &Url) -> Called {
    let url = base.resolved(reference);
    let url = url.ok_or_else(|| Problem::wrong_type("expected a path with right escapes, found another"))?;
    Ok(Value::Url(Some(std::rc::Rc::new(url))))
}

/// A method without a result, which a template cannot call. Its name is no key of the map either.
const fn without_result(name: &'static str) -> Function {
    let call = |_: &mut Context<'_>, _: &[Value]| Err(Problem::wrong_type("expected a method with a result"));
    Function { variadic: Some(Type::Any), ..entry(name, NONE, call) }
}

fn join_path(_: &mut Context<'_>, values: &[Value]) -> Called {
    let base = url(values)?;
    let mut joined = base.escaped_path();
    let is_relative = !joined.starts_with('/');
    if is_relative {
        joined.insert(0, '/');
    }
    for value in &values[1..] {
        if let Value::String(text) = value {
            joined.push('/');
            joined.push_str(std::str::from_utf8(text.bytes()).map_err(|_| no_utf8())?);
        }
    }
    let is_folder = match values {
        [_, .., Value::String(last)] => last.bytes().ends_with(b"/"),
        _ => joined.ends_with('/'),
    };
    let mut path = super::funcs::clean_path(&Text::new(joined, Origin::Data)).to_str().into_owned();
    if is_relative {
        path.remove(0);
    }
    if is_folder && !path.ends_with('/') {
        path.push('/');
    }
    let mut url = base.clone();
    url.is_mixed |=
        values[1..].iter().any(|value| matches!(value, Value::String(part) if part.origin() != Origin::Data));
    if !Url::has_right_escapes(&path) {
        // Go ignores this error.
        return Ok(Value::Url(Some(std::rc::Rc::new(url))));
    }
    url.set_path(&path).ok_or_else(|| Problem::wrong_type("expected a path with right escapes, found another"))?;
    Ok(Value::Url(Some(std::rc::Rc::new(url))))
}

fn no_utf8() -> Problem {
    Problem::wrong_type("expected the text of a URL to be UTF-8, found other bytes")
}

fn map(values: &[Value]) -> Option<&Map> {
    match values.first() {
        Some(Value::Map(map)) => Some(map),
        _ => None,
    }
}

fn text(values: &[Value], index: usize) -> Text {
    match values.get(index) {
        Some(Value::String(text)) => text.as_ref().clone(),
        _ => Text::default(),
    }
}

fn bytes(values: &[Value], index: usize) -> Vec<u8> {
    match values.get(index) {
        Some(Value::String(text)) => text.bytes().to_vec(),
        _ => Vec::new(),
    }
}

fn first_of(values: &[Value], name: &[u8]) -> Value {
    let entries = map(values).map(|map| map.entries.borrow());
    match entries.as_ref().and_then(|entries| entries.get(name)) {
        Some(Value::List(list)) => list.items().first().cloned(),
        _ => None,
    }
    .unwrap_or_else(|| Value::text(Text::default()))
}

fn time(values: &[Value], index: usize) -> Result<Time, Problem> {
    match values.get(index) {
        Some(Value::Time(time)) => Ok(time.clone()),
        _ => Err(Problem::wrong_type("expected a time, found something else")),
    }
}

fn int(values: &[Value], index: usize) -> i64 {
    match values.get(index) {
        Some(Value::Int(_, number)) => *number,
        _ => 0,
    }
}

fn order(values: &[Value]) -> Result<std::cmp::Ordering, Problem> {
    let (left, right) = (time(values, 0)?, time(values, 1)?);
    Ok((left.seconds, left.nanos).cmp(&(right.seconds, right.nanos)))
}

/// A duration in units: the whole ones, and to them the rest divided.
fn in_units(nanos: i64, unit: i64) -> f64 {
    (nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64
}

fn rfc3339(values: &[Value]) -> Result<String, Problem> {
    let text = time(values, 0)?.to_strict_rfc3339();
    text.ok_or_else(|| Problem::wrong_type("expected a date that RFC 3339 has, found one too far away"))
}

fn scaled(time: &Time, per_second: i64) -> i64 {
    let part = i64::from(time.nanos) / (1_000_000_000 / per_second);
    time.seconds.wrapping_mul(per_second).wrapping_add(part)
}

fn named_text(context: &mut Context<'_>, values: &[Value]) -> Called {
    let value = values.first().cloned().unwrap_or(Value::Invalid);
    Ok(Value::text(super::print::text_of(context, &value)?))
}

fn uint(number: u64) -> Value {
    Value::Uint(UintType::Uint64, number)
}

fn version(values: &[Value], read: impl Fn(&Version) -> Value) -> Called {
    match values.first() {
        Some(Value::Version(version) | Value::PlainVersion(version)) => Ok(read(version)),
        _ => Err(Problem::wrong_type("expected a version, found something else")),
    }
}

fn increased(version: &Version, part: usize) -> Value {
    Value::PlainVersion(std::rc::Rc::new(version.increased(part)))
}

fn changed_version(values: &[Value], change: fn(&Version, &str) -> Option<Version>) -> Called {
    let changed = match values.first() {
        Some(Value::Version(version) | Value::PlainVersion(version)) => change(version, &text(values, 1).to_str()),
        _ => None,
    };
    match changed {
        Some(version) => Ok(Value::PlainVersion(std::rc::Rc::new(version))),
        None => Err(Problem::wrong_type("expected parts of a semantic version, found other text")),
    }
}

/// Whether only `*semver.Version` has the method.
fn is_of_pointer(name: &str) -> bool {
    ["Compare", "Equal", "GreaterThan", "GreaterThanEqual", "LessThan", "LessThanEqual", "Original"].contains(&name)
}

fn version_order(values: &[Value]) -> Result<std::cmp::Ordering, Problem> {
    match values {
        [Value::Version(left), Value::Version(right)] => Ok(left.compare(right)),
        _ => Err(Problem::wrong_type("expected two versions, found something else")),
    }
}
