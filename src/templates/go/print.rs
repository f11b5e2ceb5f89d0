//! Values as text, by the rules of Go's `fmt`: `%v` and the verbs of `printf`.

use std::sync::LazyLock;

use regex::Regex;

use super::context::{Context, Problem};
use super::dates;
use super::floats;
use super::text::{Origin, Text, characters};
use super::value::{IntType, Value};

/// More places than any float64 has.
const FLOAT_PLACES: usize = 1100;

/// What `%v` makes of `value`.
pub(super) fn text_of(context: &mut Context<'_>, value: &Value) -> Result<Text, Problem> {
    let mut out = Text::default();
    Printer { context, flags: Flags::default(), out: &mut out }.operand(value, 'v', 0)?;
    Ok(out)
}

/// What sprig's `toString` makes of `value`.
pub(super) fn string_of(context: &mut Context<'_>, value: &Value) -> Result<Text, Problem> {
    match value {
        Value::String(text) => Ok(text.as_ref().clone()),
        other => text_of(context, other),
    }
}

/// `fmt.Sprintf`.
pub(super) fn format(context: &mut Context<'_>, format: &Text, arguments: &[Value]) -> Result<Text, Problem> {
    let mut out = Text::default();
    let bytes = format.bytes();
    let mut at = 0;
    let mut next = 0;
    let mut reordered = false;
    let string = |text: &str| Text::new(text, Origin::Data);
    while at < bytes.len() {
        let literal = bytes[at..].iter().position(|byte| *byte == b'%').unwrap_or(bytes.len() - at);
        out.push_text(&format.slice(at..at + literal));
        at += literal;
        context.charge_bytes(out.len())?;
        if at >= bytes.len() {
            break;
        }
        at += 1;
        let mut flags = Flags::default();
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            at += 1;
        }
        let mut bad_index = false;
        let mut after_index =
            argument_index(bytes, &mut at, &mut next, arguments.len(), &mut reordered, &mut bad_index);
        if bytes.get(at) == Some(&b'*') {
            at += 1;
            match star(arguments, &mut next) {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = Some(usize::try_from(width.unsigned_abs()).unwrap_or(0));
                }
                None => out.push_text(&string("%!(BADWIDTH)")),
            }
            after_index = false;
        } else {
            flags.width = decimal(bytes, &mut at);
            if after_index && flags.width.is_some() {
                bad_index = true;
            }
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            if after_index {
                bad_index = true;
            }
            after_index = argument_index(bytes, &mut at, &mut next, arguments.len(), &mut reordered, &mut bad_index);
            if bytes.get(at) == Some(&b'*') {
                at += 1;
                match star(arguments, &mut next) {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => out.push_text(&string("%!(BADPREC)")),
                }
                after_index = false;
            } else {
                flags.precision = Some(decimal(bytes, &mut at).unwrap_or(0));
            }
        }
        if !after_index {
            argument_index(bytes, &mut at, &mut next, arguments.len(), &mut reordered, &mut bad_index);
        }
        context.charge_bytes(flags.width.unwrap_or(0).saturating_add(flags.precision.unwrap_or(0)))?;
        let Some((_, verb, length)) = characters(&bytes[at..]).next() else {
            out.push_text(&string("%!(NOVERB)"));
            break;
        };
        let verb = verb.unwrap_or(char::REPLACEMENT_CHARACTER);
        at += length;
        if verb == '%' {
            out.push(b"%", format.origin());
        } else if bad_index {
            out.push_text(&string(&format!("%!{verb}(BADINDEX)")));
        } else if let Some(argument) = arguments.get(next) {
            next += 1;
            if flags.minus {
                flags.zero = false;
            }
            Printer { context, flags, out: &mut out }.operand(argument, verb, 0)?;
        } else {
            out.push_text(&string(&format!("%!{verb}(MISSING)")));
        }
    }
    if !reordered && next < arguments.len() {
        out.push_text(&string("%!(EXTRA "));
        for (index, argument) in arguments[next..].iter().enumerate() {
            if index > 0 {
                out.push_text(&string(", "));
            }
            if argument.is_nil() {
                out.push_text(&string("<nil>"));
            } else {
                out.push_text(&string(&format!("{}=", argument.type_name())));
                Printer { context, flags: Flags::default(), out: &mut out }.operand(argument, 'v', 0)?;
            }
        }
        out.push_text(&string(")"));
    }
    context.charge_bytes(out.len())?;
    Ok(out)
}

fn argument_index(
    bytes: &[u8],
    at: &mut usize,
    next: &mut usize,
    count: usize,
    reordered: &mut bool,
    bad: &mut bool,
) -> bool {
    if bytes.get(*at) != Some(&b'[') {
        return false;
    }
    *reordered = true;
    let Some(end) = bytes[*at..].iter().position(|byte| *byte == b']') else {
        *bad = true;
        *at += 1;
        return false;
    };
    let digits = std::str::from_utf8(&bytes[*at + 1..*at + end]).unwrap_or_default();
    *at += end + 1;
    match digits.parse::<usize>() {
        Ok(index) if (1..=count).contains(&index) => *next = index - 1,
        _ => *bad = true,
    }
    true
}

fn star(arguments: &[Value], next: &mut usize) -> Option<i64> {
    let argument = arguments.get(*next);
    *next += usize::from(argument.is_some());
    match argument {
        Some(Value::Int(_, value)) if value.unsigned_abs() <= 1_000_000 => Some(*value),
        _ => None,
    }
}

fn decimal(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let length = bytes[*at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&bytes[*at..*at + length]).ok()?;
    *at += length;
    // Go ignores widths above a million.
    digits.parse().ok().filter(|number| *number <= 1_000_000)
}

#[derive(Clone, Copy, Default)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'p, 'c> {
    context: &'p mut Context<'c>,
    flags: Flags,
    out: &'p mut Text,
}

impl Printer<'_, '_> {
    fn raw(&mut self, text: &str) {
        self.out.push(text.as_bytes(), Origin::Data);
    }

    fn operand(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Problem> {
        self.context.step()?;
        if depth > self.context.limits.depth {
            return Err(Problem::limit("expected a value that is nested less deeply"));
        }
        if value.is_nil() {
            if depth > 0 || matches!(verb, 'v' | 'T') {
                self.padded(Text::new("<nil>", Origin::Data));
            } else {
                self.raw(&format!("%!{verb}(<nil>)"));
            }
            return Ok(());
        }
        if verb == 'T' {
            self.padded(Text::new(value.type_name(), Origin::Data));
            return Ok(());
        }
        match value {
            Value::Bool(truth) => match verb {
                't' | 'v' => self.padded(Text::new(if *truth { "true" } else { "false" }, Origin::Data)),
                _ => self.bad_verb(value, verb)?,
            },
            Value::Int(kind, number) => {
                if matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
                    && let Some(name) = named_int(*kind, *number)
                {
                    self.string(&Text::new(name, Origin::Data), verb, value)?;
                } else {
                    self.integer(*number < 0, number.unsigned_abs(), verb, value)?;
                }
            }
            Value::Uint(_, number) => self.integer(false, *number, verb, value)?,
            Value::Float(number) => self.float(*number, verb, value)?,
            Value::Complex(real, imaginary) => {
                let plus = std::mem::replace(&mut self.flags.plus, false);
                self.raw("(");
                self.float(*real, verb, value)?;
                self.flags.plus = true;
                self.float(*imaginary, verb, value)?;
                self.flags.plus = plus;
                self.raw("i)");
            }
            Value::String(text) => self.string(text, verb, value)?,
            Value::List(list) => {
                self.raw("[");
                for (index, item) in list.items.iter().enumerate() {
                    if index > 0 {
                        self.raw(" ");
                    }
                    self.operand(item, verb, depth + 1)?;
                }
                self.raw("]");
            }
            Value::Map(map) => {
                self.raw("map[");
                for (index, (key, item)) in map.entries.borrow().iter().enumerate() {
                    if index > 0 {
                        self.raw(" ");
                    }
                    self.string(&Text::new(key.as_slice(), Origin::Data), verb, &Value::data(key.as_slice()))?;
                    self.raw(":");
                    self.operand(item, verb, depth + 1)?;
                }
                self.raw("]");
            }
            Value::Time(time) => {
                let text = time.to_go_string();
                self.stringer(text, verb, value)?;
            }
            Value::Url(Some(url)) => self.stringer(url.to_text(), verb, value)?,
            Value::Version(version) => self.stringer(version.to_string(), verb, value)?,
            Value::Url(None) | Value::UserInfo(_) => self.padded(Text::new("<nil>", Origin::Data)),
            Value::Session => {
                let fields = self.context.session_fields();
                self.raw("&");
                self.structure(&fields, verb, depth)?;
            }
            Value::MatchContext => {
                let fields = self.context.match_context_fields();
                self.structure(&fields, verb, depth)?;
            }
            Value::Invalid | Value::NilInterface => {}
        }
        self.context.charge_bytes(0)
    }

    fn structure(&mut self, fields: &[(&str, Value)], verb: char, depth: usize) -> Result<(), Problem> {
        self.raw("{");
        for (index, (name, field)) in fields.iter().enumerate() {
            if index > 0 {
                self.raw(" ");
            }
            if self.flags.plus && verb == 'v' {
                self.raw(&format!("{name}:"));
            }
            self.operand(field, verb, depth + 1)?;
        }
        self.raw("}");
        Ok(())
    }

    fn stringer(&mut self, text: String, verb: char, value: &Value) -> Result<(), Problem> {
        match verb {
            'v' | 's' | 'q' | 'x' | 'X' => self.string(&Text::new(text, Origin::Data), verb, value),
            _ => self.bad_verb(value, verb),
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) -> Result<(), Problem> {
        self.raw(&format!("%!{verb}({}=", value.type_name()));
        let flags = std::mem::take(&mut self.flags);
        // Go keeps the flags for the value.
        self.flags = Flags { sharp: false, ..flags };
        self.operand(value, 'v', 1)?;
        self.raw(")");
        Ok(())
    }

    fn string(&mut self, text: &Text, verb: char, value: &Value) -> Result<(), Problem> {
        self.context.charge_bytes(text.len())?;
        let cut = |flags: &Flags| match flags.precision {
            Some(precision) => {
                let end = characters(text.bytes()).nth(precision).map_or(text.len(), |(at, ..)| at);
                text.slice(0..end)
            }
            None => text.clone(),
        };
        match verb {
            'v' | 's' => {
                let cut = cut(&self.flags);
                self.padded(cut);
            }
            'q' => {
                let cut = cut(&self.flags);
                let can_be_raw = self.flags.sharp
                    && characters(cut.bytes()).all(|(_, character, _)| {
                        character.is_some_and(|c| c != '`' && c != '\u{feff}' && (c == '\t' || !c.is_control()))
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
        let digits = match verb {
            'v' | 'd' => magnitude.to_string(),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' | 'q' => {
                let code = if negative { None } else { u32::try_from(magnitude).ok() };
                let character = code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                let text = if verb == 'c' { character.to_string() } else { quote_char(character, self.flags.plus) };
                self.padded(Text::new(text, if verb == 'c' { Origin::Data } else { Origin::Encoded }));
                return Ok(());
            }
            'U' => format!("{magnitude:04X}"),
            _ => return self.bad_verb(value, verb),
        };
        let flags = self.flags;
        let mut digits = digits;
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
        let prefix = match verb {
            'U' => "U+",
            'O' => "0o",
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && !digits.starts_with('0') => "0",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let sign = if negative {
            "-"
        } else if flags.plus && verb != 'U' {
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
        let (kind, precision) = match verb {
            'v' | 'g' => ('g', self.flags.precision),
            'G' => ('G', self.flags.precision),
            'e' | 'E' => (verb, Some(self.flags.precision.unwrap_or(6))),
            'f' | 'F' => ('f', Some(self.flags.precision.unwrap_or(6))),
            _ => return self.bad_verb(value, verb),
        };
        if precision.is_some_and(|precision| precision > FLOAT_PLACES) {
            return Err(Problem::limit(format!("expected at most {FLOAT_PLACES} places for a number, found more")));
        }
        let unsigned = if number.is_nan() {
            "NaN".to_owned()
        } else if number.is_infinite() {
            "Inf".to_owned()
        } else {
            floats::format(number.abs(), kind, precision)
        };
        let sign = if number.is_sign_negative() && !number.is_nan() {
            "-"
        } else if self.flags.plus || number.is_infinite() && verb != 'v' {
            "+"
        } else if self.flags.space {
            " "
        } else if number.is_infinite() {
            "+"
        } else {
            ""
        };
        let zero = self.flags.zero && !self.flags.minus && number.is_finite();
        if zero && self.flags.width.is_some_and(|width| width > sign.len() + unsigned.len()) {
            let missing = self.flags.width.unwrap_or(0) - sign.len() - unsigned.len();
            self.raw(&format!("{sign}{}{unsigned}", "0".repeat(missing)));
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
        let length = characters(text.bytes()).count();
        let missing = self.flags.width.unwrap_or(0).saturating_sub(length);
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

/// Types whose values have a name of their own.
fn named_int(kind: IntType, number: i64) -> Option<String> {
    match kind {
        IntType::Duration => Some(dates::duration_text(number)),
        IntType::Month => Some(dates::month_name(number)),
        IntType::Weekday => Some(dates::weekday_name(number)),
        IntType::Int | IntType::Int64 => None,
    }
}

/// Go's `strconv.Quote`, or `QuoteToASCII`. What a session holds is encoded by it, so that it can stand in JSON wherever
/// Go's escapes are JSON's.
pub(super) fn quote(text: &Text, ascii: bool) -> Text {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for (at, character, _) in characters(text.bytes()) {
        match character {
            Some(character) => quote_into(character, '"', ascii, &mut quoted),
            None => quoted.push_str(&format!("\\x{:02x}", text.bytes()[at])),
        }
    }
    quoted.push('"');
    let origin = if text.origin() == Origin::Template { Origin::Template } else { Origin::Encoded };
    Text::new(quoted, origin)
}

fn quote_char(character: char, ascii: bool) -> String {
    let mut quoted = String::from("'");
    quote_into(character, '\'', ascii, &mut quoted);
    quoted.push('\'');
    quoted
}

fn quote_into(character: char, mark: char, ascii: bool, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        _ if character == mark => {
            out.push('\\');
            out.push(mark);
        }
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(character) && (!ascii || character.is_ascii()) => out.push(character),
        _ => {
            let code = u32::from(character);
            out.push_str(&match code {
                0..0x20 | 0x7f => format!("\\x{code:02x}"),
                0x20..0x10000 => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            });
        }
    }
}

/// Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(super) fn is_printable(character: char) -> bool {
    static PRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").ok());
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    PRINTABLE.as_ref().is_some_and(|printable| printable.is_match(character.encode_utf8(&mut [0; 4])))
}
