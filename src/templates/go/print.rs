//! Values as text, by the rules of Go's `fmt`: `%v` and the verbs of `printf`.

use super::context::{Context, Problem};
use super::dates;
use super::floats;
use super::quoting::{is_printable, quote, quote_char};
use super::text::{Origin, Text, characters};
use super::value::{Element, IntType, List, UintType, Value};
use super::versions::Version;

/// More places than any float64 has.
const FLOAT_PLACES: usize = 1100;
/// How many decimal digits of a number one step writes, if their count is given.
const DIGITS_PER_STEP: u64 = 4;
/// How often a `[]byte`, whose bytes are values, is read.
const READS_OF_BYTES: usize = 16;

/// What `%v` makes of `value`.
pub(super) fn text_of(context: &mut Context<'_>, value: &Value) -> Result<Text, Problem> {
    let mut out = Text::default();
    Printer::new(context, Flags::default(), &mut out).argument(value, 'v')?;
    Ok(out)
}

/// What sprig's `toString` makes of `value`.
pub(super) fn string_of(context: &mut Context<'_>, value: &Value) -> Result<Text, Problem> {
    match value {
        Value::String(text) => {
            context.charge_text(text, 1)?;
            Ok(text.as_ref().clone())
        }
        Value::List(list) if list.element == Element::Byte => text_of_bytes(context, list),
        Value::Url(None) => Err(Problem::missing("expected a value to write, found nil")),
        other => text_of(context, other),
    }
}

/// What stands between the percent sign and the verb.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) sharp: bool,
    pub(super) zero: bool,
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) space: bool,
    /// `%#v`
    pub(super) go_syntax: bool,
    /// `%+v`
    pub(super) names: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// Writes values with one verb.
pub(super) struct Printer<'p, 'c> {
    context: &'p mut Context<'c>,
    flags: Flags,
    out: &'p mut Text,
    /// Inside of the description of a wrong verb, where values do not say their names.
    is_erring: bool,
}

impl<'p, 'c> Printer<'p, 'c> {
    pub(super) fn new(context: &'p mut Context<'c>, flags: Flags, out: &'p mut Text) -> Self {
        Self { context, flags, out, is_erring: false }
    }

    fn raw(&mut self, text: &str) {
        self.out.push(text.as_bytes(), Origin::Data);
    }

    /// Writes a whole argument.
    pub(super) fn argument(&mut self, value: &Value, verb: char) -> Result<(), Problem> {
        match verb {
            // Only errors can be wrapped. Of a `[]byte`, each byte is checked by itself.
            'w' if !value.is_nil() && !is_byte_list(value) => self.bad_verb(value, verb)?,
            'T' | 'v' if value.is_nil() => self.padded(Text::new("<nil>", Origin::Data)),
            _ if value.is_nil() => self.raw(&format!("%!{verb}(<nil>)")),
            'v' if self.flags.go_syntax && is_bytes(value) => self.go_bytes(value)?,
            'T' => self.string(&Text::new(value.type_name(), Origin::Data), 's', value)?,
            _ => self.operand(value, verb, 0)?,
        }
        Ok(())
    }

    /// A `[]byte` in Go's syntax, which has another name by itself than inside of something.
    fn go_bytes(&mut self, value: &Value) -> Result<(), Problem> {
        let bytes = match value {
            Value::List(list) => {
                self.context.steps(list.items().len() as u64)?;
                list.as_bytes().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let digits: Vec<_> = bytes.iter().map(|byte| format!("0x{byte:x}")).collect();
        self.raw(&format!("[]byte{{{}}}", digits.join(", ")));
        Ok(())
    }

    fn operand(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Problem> {
        self.context.step()?;
        // Each item of a list has the width.
        let width = self.flags.width.unwrap_or(0).saturating_add(self.flags.precision.unwrap_or(0));
        self.context.charge_reads(width.saturating_add(super::fields::size(value)), 2)?;
        if depth > self.context.limits.depth {
            return Err(Problem::limit("expected a value that is nested less deeply"));
        }
        match value {
            Value::Bool(truth) => match verb {
                't' | 'v' => self.padded(Text::new(if *truth { "true" } else { "false" }, Origin::Data)),
                _ => self.bad_verb(value, verb)?,
            },
            Value::Int(kind, number) => match named_int(*kind, *number) {
                Some(name) if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') && self.has_names() => {
                    self.string(&Text::new(name, Origin::Data), verb, value)?;
                }
                _ => self.integer(*number < 0, number.unsigned_abs(), verb, value)?,
            },
            Value::Uint(_, number) if self.flags.go_syntax && verb == 'v' => {
                self.flags.sharp = true;
                let result = self.integer(false, *number, 'x', value);
                self.flags.sharp = false;
                result?;
            }
            Value::Uint(_, number) => self.integer(false, *number, verb, value)?,
            Value::Float(number) => self.float(*number, verb, value)?,
            Value::Complex(real, imaginary) => {
                if !"vbgGxXfFeE".contains(verb) {
                    return self.bad_verb(value, verb);
                }
                let plus = self.flags.plus;
                self.raw("(");
                self.float(*real, verb, value)?;
                self.flags.plus = true;
                self.float(*imaginary, verb, value)?;
                self.flags.plus = plus;
                self.raw("i)");
            }
            Value::String(text) => self.string(text, verb, value)?,
            Value::List(list) if list.element == Element::Byte && matches!(verb, 's' | 'q' | 'x' | 'X') => {
                let text = text_of_bytes(self.context, list)?;
                self.string(&text, verb, value)?;
            }
            Value::List(list) => {
                if verb == 'p' {
                    return Err(no_text(value, verb));
                }
                if !self.start(value, list.is_nil, "[", verb) {
                    return Ok(());
                }
                for (index, item) in list.items().iter().enumerate() {
                    self.separate(index, verb);
                    self.element(item, verb, depth)?;
                }
                self.around(if self.flags.go_syntax { "}" } else { "]" }, verb);
            }
            Value::Map(map) => {
                if verb == 'p' {
                    return Err(no_text(value, verb));
                }
                if !self.start(value, map.is_nil, "map[", verb) {
                    return Ok(());
                }
                for (index, (key, item)) in map.entries.borrow().iter().enumerate() {
                    self.context.step()?;
                    self.separate(index, verb);
                    let key = map.key(key);
                    self.string(&key, verb, &Value::text(key.clone()))?;
                    self.raw(":");
                    self.element(item, verb, depth)?;
                }
                self.raw(if self.flags.go_syntax { "}" } else { "]" });
            }
            Value::Url(None) | Value::UserInfo(None) => self.nil_pointer(value, verb)?,
            Value::Time(time) if self.flags.go_syntax && !self.is_erring => {
                self.string(&Text::new(time.to_go_syntax(), Origin::Syntax), 's', value)?;
            }
            Value::Url(_)
            | Value::UserInfo(_)
            | Value::Version(_)
            | Value::PlainVersion(_)
            | Value::Time(_)
            | Value::Location(_)
                if self.has_names() && matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') =>
            {
                self.string(&name_of(value), verb, value)?;
            }
            Value::Url(_) | Value::UserInfo(_) | Value::Version(_) | Value::Location(_) | Value::Session
                if depth > 0 =>
            {
                // Go writes addresses in memory.
                if matches!(verb, 'v' | 'p' | 'b' | 'o' | 'd' | 'x' | 'X') {
                    return Err(no_text(value, verb));
                }
                self.bad_verb(value, verb)?;
            }
            Value::Url(_) | Value::Version(_) | Value::Session if verb == 'p' => return Err(no_text(value, verb)),
            Value::Url(Some(url)) => {
                self.raw("&");
                self.structure("url.URL", &url.fields(), verb, depth + 1)?;
            }
            Value::Version(version) => {
                self.raw("&");
                self.structure("semver.Version", &version_fields(version), verb, depth + 1)?;
            }
            Value::Session => {
                let fields = self.context.session_fields();
                self.raw("&");
                self.structure("authn.AuthenticationSession", &fields, verb, depth + 1)?;
            }
            Value::PlainVersion(_) | Value::MatchContext if verb == 'p' => self.bad_verb(value, verb)?,
            Value::PlainVersion(version) => self.structure("semver.Version", &version_fields(version), verb, depth)?,
            Value::MatchContext => {
                let fields = self.context.match_context_fields();
                self.structure("authn.MatchContext", &fields, verb, depth)?;
            }
            Value::Invalid | Value::NilInterface => self.raw("<nil>"),
            _ => return Err(no_text(value, verb)),
        }
        self.context.charge_bytes(0)
    }

    /// An element of a list or a map.
    fn element(&mut self, item: &Value, verb: char, depth: usize) -> Result<(), Problem> {
        if item.is_nil() {
            self.context.step()?;
            self.raw(if self.flags.go_syntax { "interface {}(nil)" } else { "<nil>" });
            return Ok(());
        }
        self.operand(item, verb, depth + 1)
    }

    /// Starts a list or a map; `false` where nothing follows.
    fn start(&mut self, value: &Value, is_nil: bool, bracket: &str, verb: char) -> bool {
        if !self.flags.go_syntax {
            self.around(bracket, verb);
            return true;
        }
        self.raw(value.type_name());
        self.raw(if is_nil { "(nil)" } else { "{" });
        !is_nil
    }

    fn separate(&mut self, index: usize, verb: char) {
        if index > 0 {
            self.around(if self.flags.go_syntax { ", " } else { " " }, verb);
        }
    }

    /// Writes brackets and separators, which are JSON around quoted texts.
    fn around(&mut self, text: &str, verb: char) {
        self.out.push(text.as_bytes(), if verb == 'q' { Origin::Syntax } else { Origin::Data });
    }

    fn has_names(&self) -> bool {
        !self.is_erring && !self.flags.go_syntax
    }

    /// The fields of a structure.
    fn structure(
        &mut self,
        type_name: &str,
        fields: &[(&str, Value)],
        verb: char,
        depth: usize,
    ) -> Result<(), Problem> {
        self.raw(if self.flags.go_syntax { type_name } else { "" });
        self.raw("{");
        for (index, (name, field)) in fields.iter().enumerate() {
            self.separate(index, verb);
            if self.flags.names || self.flags.go_syntax {
                self.raw(&format!("{name}:"));
            }
            self.element(field, verb, depth)?;
        }
        self.raw("}");
        Ok(())
    }

    fn nil_pointer(&mut self, value: &Value, verb: char) -> Result<(), Problem> {
        match verb {
            'v' | 's' | 'q' | 'x' | 'X' if self.has_names() => match value {
                Value::UserInfo(_) => self.string(&Text::default(), verb, value)?,
                // Go writes this when the method fails, without any padding.
                _ => self.raw("<nil>"),
            },
            'v' if self.flags.go_syntax => self.raw(&format!("({})(nil)", value.type_name())),
            'v' => self.padded(Text::new("<nil>", Origin::Data)),
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(false, 0, verb, value)?,
            'p' => {
                self.flags.sharp = !self.flags.sharp;
                let result = self.integer(false, 0, 'x', value);
                self.flags.sharp = !self.flags.sharp;
                result?;
            }
            _ => self.bad_verb(value, verb)?,
        }
        Ok(())
    }

    fn bad_verb(&mut self, value: &Value, verb: char) -> Result<(), Problem> {
        self.raw(&format!("%!{verb}({}=", value.type_name()));
        let was_erring = std::mem::replace(&mut self.is_erring, true);
        self.operand(value, 'v', 0)?;
        self.is_erring = was_erring;
        self.raw(")");
        Ok(())
    }

    fn string(&mut self, text: &Text, verb: char, value: &Value) -> Result<(), Problem> {
        let cost = if matches!(verb, 'q' | 'x' | 'X') || self.flags.go_syntax { 16 } else { 2 };
        self.context.charge_text(text, cost)?;
        let cut = || match self.flags.precision {
            Some(precision) => {
                let end = characters(text.bytes()).nth(precision).map_or(text.len(), |(at, ..)| at);
                text.slice(0..end)
            }
            None => text.clone(),
        };
        match verb {
            'v' | 's' if verb == 's' || !self.flags.go_syntax => {
                let cut = cut();
                self.padded(cut);
            }
            'q' | 'v' => {
                let cut = cut();
                let can_be_raw = self.flags.sharp
                    && characters(cut.bytes()).all(|(_, character, _)| {
                        character
                            .is_some_and(|c| !matches!(c, '`' | '\u{feff}') && (c == '\t' || !c.is_ascii_control()))
                    });
                let quoted = if can_be_raw {
                    let mut raw = Text::new("`", Origin::Data);
                    raw.push_text(&cut);
                    raw.push(b"`", Origin::Data);
                    raw
                } else {
                    quote(&cut, self.flags.plus)
                };
                self.padded(quoted);
            }
            'x' | 'X' => {
                let length = self.flags.precision.unwrap_or(text.len()).min(text.len());
                let mut digits = String::new();
                for (index, byte) in text.bytes()[..length].iter().enumerate() {
                    if self.flags.space && index > 0 {
                        digits.push(' ');
                    }
                    if self.flags.sharp && (self.flags.space || index == 0) {
                        digits.push_str(if verb == 'x' { "0x" } else { "0X" });
                    }
                    digits.push_str(&if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
                }
                self.padded(Text::new(digits, Origin::Data));
            }
            _ => self.bad_verb(value, verb)?,
        }
        Ok(())
    }

    fn integer(&mut self, negative: bool, magnitude: u64, verb: char, value: &Value) -> Result<(), Problem> {
        let bits = if negative { magnitude.wrapping_neg() } else { magnitude };
        let character = u32::try_from(bits).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut digits = match verb {
            'v' | 'd' => magnitude.to_string(),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' => {
                self.padded(Text::new(character.to_string(), Origin::Data));
                return Ok(());
            }
            'q' => {
                self.padded(Text::new(quote_char(character, self.flags.plus), Origin::Encoded));
                return Ok(());
            }
            'U' => {
                let places = self.flags.precision.unwrap_or(0).max(4);
                let is_shown = self.flags.sharp && u64::from(u32::from(character)) == bits && is_printable(character);
                let shown = if is_shown { format!(" '{character}'") } else { String::new() };
                self.padded_with(Text::new(format!("U+{bits:0places$X}{shown}"), Origin::Data), false);
                return Ok(());
            }
            _ => return self.bad_verb(value, verb),
        };
        let flags = self.flags;
        if flags.precision == Some(0) && magnitude == 0 {
            self.padded_with(Text::default(), false);
            return Ok(());
        }
        let mut wanted = flags.precision.unwrap_or(0);
        if flags.precision.is_none() && flags.zero && !flags.minus {
            wanted = flags.width.unwrap_or(0);
            if negative || flags.plus || flags.space {
                wanted = wanted.saturating_sub(1);
            }
        }
        if digits.len() < wanted {
            digits = format!("{}{digits}", "0".repeat(wanted - digits.len()));
        }
        if flags.sharp {
            digits = match verb {
                'b' => format!("0b{digits}"),
                'o' | 'O' if !digits.starts_with('0') => format!("0{digits}"),
                'x' => format!("0x{digits}"),
                'X' => format!("0X{digits}"),
                _ => digits,
            };
        }
        let prefix = if verb == 'O' { "0o" } else { "" };
        let sign = if negative {
            "-"
        } else if flags.plus {
            "+"
        } else if flags.space {
            " "
        } else {
            ""
        };
        self.padded_with(Text::new(format!("{sign}{prefix}{digits}"), Origin::Data), false);
        Ok(())
    }

    fn float(&mut self, number: f64, verb: char, value: &Value) -> Result<(), Problem> {
        let (kind, usual) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'e' | 'E' => (verb, Some(6)),
            'f' | 'F' => ('f', Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(usual);
        if precision.is_some_and(|precision| precision > FLOAT_PLACES) {
            return Err(Problem::limit(format!("expected at most {FLOAT_PLACES} places for a number, found more")));
        }
        let flags = self.flags;
        let is_negative = number.is_sign_negative() && !number.is_nan();
        let given = if flags.plus { "+" } else { " " };
        if !number.is_finite() {
            let text = match (number.is_nan(), flags.plus || flags.space) {
                (true, false) => "NaN".to_owned(),
                (true, true) => format!("{given}NaN"),
                _ if is_negative => "-Inf".to_owned(),
                (false, true) => format!("{given}Inf"),
                (false, false) => "+Inf".to_owned(),
            };
            self.padded_with(Text::new(text, Origin::Data), false);
            return Ok(());
        }
        // Exact digits take far longer than the fewest that tell a number from others.
        let whole = if kind == 'f' { number.abs().log10().clamp(0.0, 309.0) as u64 } else { 0 };
        let digits = whole + precision.unwrap_or(0) as u64;
        self.context.steps(1 + digits / DIGITS_PER_STEP)?;
        let mut unsigned = floats::format(number.abs(), kind, precision);
        if flags.sharp && verb != 'b' {
            unsigned = floats::with_point(&unsigned, kind, precision);
        }
        let sign = if is_negative {
            "-"
        } else if flags.plus || flags.space {
            given
        } else {
            ""
        };
        let length = sign.len() + unsigned.len();
        if flags.zero && !flags.minus && flags.width.is_some_and(|width| width > length) {
            let zeros = "0".repeat(flags.width.unwrap_or(0) - length);
            self.raw(&format!("{sign}{zeros}{unsigned}"));
        } else {
            self.padded_with(Text::new(format!("{sign}{unsigned}"), Origin::Data), false);
        }
        Ok(())
    }

    fn padded(&mut self, text: Text) {
        let zero = self.flags.zero && !self.flags.minus;
        self.padded_with(text, zero);
    }

    fn padded_with(&mut self, text: Text, zero: bool) {
        let missing = match self.flags.width {
            Some(width) => width.saturating_sub(characters(text.bytes()).count()),
            None => 0,
        };
        let padding = if zero { "0" } else { " " }.repeat(missing);
        if !self.flags.minus {
            self.raw(&padding);
        }
        self.out.push_text(&text);
        if self.flags.minus {
            self.raw(&padding);
        }
    }
}

fn no_text(value: &Value, verb: char) -> Problem {
    let message = format!("expected a value that the verb {verb} can write, found {}", value.type_name());
    Problem::wrong_type(message)
}

/// The fields of a version in Go's order.
fn version_fields(version: &Version) -> [(&'static str, Value); 6] {
    let number = |part: usize| Value::Uint(UintType::Uint64, version.numbers[part]);
    [
        ("major", number(0)),
        ("minor", number(1)),
        ("patch", number(2)),
        ("pre", Value::data(version.prerelease.as_str())),
        ("metadata", Value::data(version.metadata.as_str())),
        ("original", Value::data(version.original.as_str())),
    ]
}

/// The content of a `[]byte`, whose quotes a method wrote.
fn text_of_bytes(context: &mut Context<'_>, list: &List) -> Result<Text, Problem> {
    context.charge_reads(list.items().len(), READS_OF_BYTES)?;
    Ok(Text::new(list.as_bytes().unwrap_or_default(), Origin::Mixed))
}

fn is_byte_list(value: &Value) -> bool {
    matches!(value, Value::List(list) if list.element == Element::Byte)
}

fn is_bytes(value: &Value) -> bool {
    matches!(value, Value::List(list) if list.element == Element::Byte && !list.is_nil)
}

/// What the method `String` gives.
fn name_of(value: &Value) -> Text {
    match value {
        Value::Url(Some(url)) => Text::new(url.to_text(), if url.is_mixed { Origin::Mixed } else { Origin::Data }),
        Value::UserInfo(Some(user)) => Text::new(user.to_text(), Origin::Data),
        Value::Version(version) | Value::PlainVersion(version) => Text::new(version.to_string(), Origin::Data),
        Value::Time(time) => Text::new(time.to_go_string(), Origin::Data),
        Value::Location(zone) => Text::new(zone.name(), Origin::Data),
        _ => Text::default(),
    }
}

/// Types whose values have a name of their own.
fn named_int(kind: IntType, number: i64) -> Option<String> {
    match kind {
        IntType::Duration => Some(dates::duration_text(number)),
        IntType::Month => Some(dates::month_name(number)),
        IntType::Weekday => Some(dates::weekday_name(number)),
        IntType::Int | IntType::Int64 => None,
    }
}
