//! `fmt.Sprintf`: how a format calls for its arguments.

use super::context::{Context, Problem};
use super::print::{Flags, Printer};
use super::text::{Origin, Text, characters};
use super::value::Value;

/// Widths and precisions above this are ignored.
const LARGEST: i64 = 1_000_000;

/// `format` with its arguments filled in.
pub(super) fn format(context: &mut Context<'_>, format: &Text, arguments: &[Value]) -> Result<Text, Problem> {
    let mut scan =
        Scan { bytes: format.bytes(), at: 0, arguments, next: 0, reordered: false, bad_index: false, bracket: Some(0) };
    // A session must not choose where text of the author stands, or how often.
    let is_of_session = format.is_of_session();
    let mut out = Text::default();
    while scan.at < scan.bytes.len() {
        let rest = &scan.bytes[scan.at..];
        let literal = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        out.push_text(&format.slice(scan.at..scan.at + literal));
        scan.at += literal;
        context.charge_bytes(literal)?;
        if scan.at >= scan.bytes.len() {
            break;
        }
        scan.at += 1;
        context.step()?;
        let mut flags = scan.directive(&mut out);
        let size = flags.width.unwrap_or(0).saturating_add(flags.precision.unwrap_or(0));
        context.charge_bytes(size)?;
        let Some((_, verb, length)) = characters(&scan.bytes[scan.at..]).next() else {
            push(&mut out, "%!(NOVERB)");
            break;
        };
        let verb = verb.unwrap_or(char::REPLACEMENT_CHARACTER);
        scan.at += length;
        if verb == '%' {
            out.push(b"%", format.origin());
        } else if scan.bad_index {
            push(&mut out, &format!("%!{verb}(BADINDEX)"));
        } else if let Some(argument) = arguments.get(scan.next) {
            scan.next += 1;
            if matches!(verb, 'v' | 'w') {
                flags.go_syntax = std::mem::take(&mut flags.sharp);
                flags.names = std::mem::take(&mut flags.plus);
            }
            let mut written = Text::default();
            Printer::new(context, flags, &mut written).argument(argument, verb)?;
            let written = if is_of_session { written.as_data() } else { written };
            out.push_text(&written);
        } else {
            push(&mut out, &format!("%!{verb}(MISSING)"));
        }
    }
    if !scan.reordered && scan.next < arguments.len() {
        push(&mut out, "%!(EXTRA ");
        for (index, argument) in arguments[scan.next..].iter().enumerate() {
            if index > 0 {
                push(&mut out, ", ");
            }
            if !argument.is_nil() {
                push(&mut out, &format!("{}=", argument.type_name()));
            }
            let mut written = Text::default();
            Printer::new(context, Flags::default(), &mut written).argument(argument, 'v')?;
            out.push_text(&written.as_data());
        }
        push(&mut out, ")");
    }
    context.charge_bytes(out.len())?;
    Ok(out)
}

fn push(out: &mut Text, text: &str) {
    out.push(text.as_bytes(), Origin::Data);
}

struct Scan<'s> {
    bytes: &'s [u8],
    at: usize,
    arguments: &'s [Value],
    next: usize,
    /// Whether an argument was called for by its number.
    reordered: bool,
    bad_index: bool,
    /// Where the next closing bracket stands, as far as it was looked for.
    bracket: Option<usize>,
}

impl Scan<'_> {
    /// Reads what stands between the percent sign and the verb.
    fn directive(&mut self, out: &mut Text) -> Flags {
        let mut flags = Flags::default();
        self.bad_index = false;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.argument_number();
        if self.skip(b'*') {
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => push(out, "%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            flags.width = self.number(self.bytes.len());
            self.bad_index |= after_index && flags.width.is_some();
        }
        if self.skip(b'.') {
            self.bad_index |= after_index;
            after_index = self.argument_number();
            if self.skip(b'*') {
                flags.precision = self.star().and_then(|precision| usize::try_from(precision).ok());
                if flags.precision.is_none() {
                    push(out, "%!(BADPREC)");
                }
                after_index = false;
            } else {
                flags.precision = Some(self.number(self.bytes.len()).unwrap_or(0));
            }
        }
        if !after_index {
            self.argument_number();
        }
        flags
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// Digits before `end`. After a number that is far too large Go looks at nothing more.
    fn number(&mut self, end: usize) -> Option<usize> {
        let mut number: Option<i64> = None;
        while let Some(digit) = self.bytes[..end].get(self.at).filter(|byte| byte.is_ascii_digit()) {
            let so_far = number.unwrap_or(0);
            if so_far > LARGEST {
                self.at = end;
                return None;
            }
            number = Some(so_far * 10 + i64::from(digit - b'0'));
            self.at += 1;
        }
        number.and_then(|number| usize::try_from(number).ok())
    }

    /// The number of an argument in brackets; whether there is one that can be read.
    fn argument_number(&mut self) -> bool {
        if self.bytes.get(self.at) != Some(&b'[') {
            return false;
        }
        self.reordered = true;
        let start = self.at;
        if self.bracket.is_some_and(|bracket| bracket <= start) {
            self.bracket = self.bytes[start..].iter().position(|byte| *byte == b']').map(|length| start + length);
        }
        let Some(end) = self.bracket.filter(|_| self.bytes.len() - start >= 3) else {
            self.bad_index = true;
            self.at += 1;
            return false;
        };
        self.at += 1;
        let number = self.number(end);
        let is_read = number.is_some() && self.at == end;
        self.at = end + 1;
        match number.and_then(|number| number.checked_sub(1)).filter(|_| is_read) {
            Some(index) if index < self.arguments.len() => self.next = index,
            _ => self.bad_index = true,
        }
        is_read
    }

    /// A width or precision that is an argument.
    fn star(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        let number = match argument {
            Value::Int(_, number) => *number,
            Value::Uint(_, number) => i64::try_from(*number).ok()?,
            _ => return None,
        };
        (-LARGEST..=LARGEST).contains(&number).then_some(number)
    }
}
