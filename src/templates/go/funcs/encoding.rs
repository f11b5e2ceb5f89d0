//! Base64, base32 and checksums.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{Function, Type, function, text};
use crate::templates::go::text::Text;
use crate::templates::go::value::Value;

const TEXT: &[Type] = &[Type::String];
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) static FUNCTIONS: &[Function] = &[
    function("b64enc", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len().saturating_mul(2))?;
        Ok(Value::text(text.derived(base64(text.bytes()))))
    }),
    function("b32enc", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len().saturating_mul(2))?;
        Ok(Value::text(text.derived(encode(text.bytes(), BASE32, 5, 8))))
    }),
    function("b64dec", TEXT, |_, values| Ok(decoded(&text(values, 0), BASE64, 6, 4, "base64"))),
    function("b32dec", TEXT, |_, values| {
        // Only here Go counts without line breaks.
        let text = text(values, 0);
        let kept: Vec<u8> = text.bytes().iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
        Ok(decoded(&text.derived(kept), BASE32, 5, 8, "base32"))
    }),
    function("sha1sum", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        Ok(Value::data(hex(&Sha1::digest(text.bytes()))))
    }),
    function("sha256sum", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        Ok(Value::data(hex(&Sha256::digest(text.bytes()))))
    }),
    function("sha512sum", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        Ok(Value::data(hex(&Sha512::digest(text.bytes()))))
    }),
    function("adler32sum", TEXT, |context, values| {
        let text = text(values, 0);
        context.charge_bytes(text.len())?;
        let (low, high) = text.bytes().iter().fold((1u32, 0u32), |(low, high), byte| {
            let low = (low + u32::from(*byte)) % 65_521;
            (low, (high + low) % 65_521)
        });
        Ok(Value::data((high << 16 | low).to_string()))
    }),
];

/// Base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
    encode(bytes, BASE64, 6, 4)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Writes `bits` bits per character, padded to groups of `group` characters.
fn encode(bytes: &[u8], alphabet: &[u8], bits: u32, group: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let (mut buffer, mut held) = (0u32, 0);
    let character = |index: u32| alphabet.get(index as usize & (alphabet.len() - 1)).copied().unwrap_or(b'=');
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        held += 8;
        while held >= bits {
            held -= bits;
            out.push(character(buffer >> held));
        }
        buffer &= (1 << held) - 1;
    }
    if held > 0 {
        out.push(character(buffer << (bits - held)));
    }
    while out.len() % group != 0 {
        out.push(b'=');
    }
    out
}

/// What the text decodes to, or, as sprig has it, what is wrong with it.
fn decoded(text: &Text, alphabet: &[u8], bits: u32, group: usize, name: &str) -> Value {
    match decode(text.bytes(), alphabet, bits, group) {
        Ok(bytes) => Value::text(text.derived(bytes)),
        Err(at) => Value::data(format!("illegal {name} data at input byte {at}")),
    }
}

fn decode(text: &[u8], alphabet: &[u8], bits: u32, group: usize) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len());
    let (mut buffer, mut held) = (0u32, 0);
    let mut count = 0;
    let mut characters = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    while let Some((at, byte)) = characters.next() {
        if *byte == b'=' {
            // Padding completes the group, and nothing follows it.
            let used = count % group;
            let leftover = used as u32 * bits % 8;
            if used == 0 || leftover >= bits || used as u32 * bits < 8 {
                return Err(at);
            }
            for _ in used + 1..group {
                match characters.next() {
                    Some((_, b'=')) => {}
                    // Go names the character before.
                    Some((at, _)) => return Err(at - 1),
                    None => return Err(text.len()),
                }
            }
            return match characters.next() {
                None => Ok(out),
                Some((at, _)) => Err(at),
            };
        }
        let index = alphabet.iter().position(|known| known == byte).ok_or(at)?;
        buffer = buffer << bits | u32::try_from(index).unwrap_or(0);
        held += bits;
        count += 1;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(buffer >> held & 0xff).unwrap_or(0));
        }
        buffer &= (1 << held) - 1;
    }
    match count % group {
        0 => Ok(out),
        rest => Err(text.len() - rest),
    }
}
