//! What a call costs, so that a step takes about the same time whatever the function is.
//!
//! The measure is a copy of text, of which one step pays 64 bytes. Functions that look at each character, or that write
//! several for one, take many times as long.

use super::Function;

/// The cost of a call, besides the steps that it pays for itself.
pub(in crate::templates::go) struct Cost {
    pub(in crate::templates::go) steps: u64,
    /// How often each byte of its texts is paid for.
    pub(in crate::templates::go) per_byte: usize,
}

/// The cost of a call of `function`, which may also be a method.
pub(in crate::templates::go) fn cost(function: &Function) -> Cost {
    let (steps, per_byte) = match function.name {
        // Dates load a time zone; layouts are read and written part by part.
        "date" | "dateInZone" | "date_in_zone" | "htmlDate" | "htmlDateInZone" | "toDate" | "mustToDate" | "Format" => {
            (32, 32)
        }
        "ago" | "dateModify" | "date_modify" | "mustDateModify" | "must_date_modify" | "duration" | "durationRound"
        | "AddDate" | "In" | "Local" | "MarshalJSON" | "MarshalText" | "String" | "Round" | "Truncate" => (16, 16),
        "urlParse" | "urlJoin" | "Parse" | "ResolveReference" | "JoinPath" | "Query" => (16, 32),
        "semver" | "semverCompare" | "SetMetadata" | "SetPrerelease" => (16, 32),
        // A decoded value takes many times its text.
        "fromJson" | "mustFromJson" => (2, 32),
        "camelcase" | "initials" | "kebabcase" | "lower" | "snakecase" | "swapcase" | "title" | "untitle" | "upper" => {
            (2, 24)
        }
        "printf" | "quote" | "js" | "html" | "urlquery" | "toJson" | "mustToJson" | "toRawJson" | "mustToRawJson"
        | "toPrettyJson" | "mustToPrettyJson" => (2, 16),
        "int" | "int64" | "float64" | "toDecimal" | "atoi" | "add" | "add1" | "sub" | "mul" | "div" | "mod" | "max"
        | "biggest" | "min" | "maxf" | "minf" | "addf" | "add1f" | "subf" | "mulf" | "divf" | "ceil" | "floor"
        | "round" => (2, 16),
        "b32dec" | "b64dec" | "trimAll" | "trimall" | "clean" | "osClean" | "dir" | "osDir" | "regexQuoteMeta" => {
            (2, 16)
        }
        "trim" | "b32enc" | "b64enc" | "nospace" | "sha1sum" | "sha256sum" | "sha512sum" | "adler32sum" => (2, 8),
        _ => (0, 2),
    };
    Cost { steps, per_byte }
}
