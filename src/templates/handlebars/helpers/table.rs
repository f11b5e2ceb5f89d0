//! The one table of all helpers.

use super::{Body, Helper, Lazy, collections, convert, logic, texts};

/// The helper of that name.
pub(in crate::templates::handlebars) fn find(name: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| helper.name == name)
}

/// The name that `wrong` may have meant.
pub(in crate::templates::handlebars) fn suggest(wrong: &str) -> Option<&'static str> {
    const OTHERS: &[(&str, &str)] = &[
        ("json", "toJson"),
        ("toLower", "lower"),
        ("toUpper", "upper"),
        ("lookup", "index"),
        ("length", "len"),
        ("size", "len"),
        ("uniq", "unique"),
        ("sortAlpha", "sort"),
        ("exists", "has"),
        ("error", "fail"),
        ("hasKey", "contains"),
        ("map", "pluck"),
        ("printf", "concat"),
        ("print", "concat"),
        ("cat", "concat"),
        ("dict", "pick"),
        ("splitList", "split"),
        ("atoi", "int"),
        ("float64", "number"),
        ("toString", "string"),
        ("quote", "string"),
        ("b64enc", "base64url"),
        ("sha256sum", "sha256"),
        ("equal", "eq"),
        ("neq", "ne"),
        ("isnt", "ne"),
    ];
    let same = HELPERS.iter().map(|helper| helper.name).find(|name| name.eq_ignore_ascii_case(wrong));
    same.or_else(|| OTHERS.iter().find(|(other, _)| other.eq_ignore_ascii_case(wrong)).map(|(_, ours)| *ours)).or_else(
        || {
            HELPERS.iter().map(|helper| helper.name).find(|name| {
                name.len() > 3
                    && wrong.len() > 3
                    && (name.starts_with(wrong) || wrong.starts_with(name) || is_near(name, wrong))
            })
        },
    )
}

/// Whether one letter makes the difference, or two that changed places.
pub(in crate::templates::handlebars) fn is_near(left: &str, right: &str) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let start = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let end =
        left[start..].iter().rev().zip(right[start..].iter().rev()).take_while(|(left, right)| left == right).count();
    match (&left[start..left.len() - end], &right[start..right.len() - end]) {
        ([one, other], [first, second]) => one == second && other == first,
        (left, right) => left.len() <= 1 && right.len() <= 1,
    }
}

const ANY: usize = usize::MAX;

macro_rules! helpers {
    ($($name:literal $arguments:literal ($least:expr, $most:expr) $body:expr;
        $summary:literal;
        $template:literal $extra:literal => $claims:literal)+) => {
        /// Every helper, in the order of the reference.
        pub(super) const HELPERS: &[Helper] = &[$(Helper {
            name: $name,
            arguments: $arguments,
            least: $least,
            most: $most,
            summary: $summary,
            example: ($template, $extra, $claims),
            body: $body,
        },)+];
    };
}

helpers! {
    "toJson" "value" (1, 1) Body::Eager(convert::to_json);
        "The value itself: `{{toJson Extra.x}}` and `{{Extra.x}}` are the same, because a value is encoded by \
            where it stands.";
        r#"{"traits": {{toJson Extra.traits}}}"# r#"{"traits": {"a": [1, 2.0]}}"# => r#"{"traits":{"a":[1,2.0]}}"#
    "default" "value fallback" (2, 2) Body::Lazy(Lazy::Default);
        "The value, or the fallback where it is missing or null. False, 0 and empty text stay.";
        r#"{"plan": {{default Extra.plan "free"}}}"# r#"{"plan": null}"# => r#"{"plan":"free"}"#
    "coalesce" "value …" (1, ANY) Body::Lazy(Lazy::Coalesce);
        "The first value that is neither missing nor null.";
        r#"{"name": {{coalesce Extra.nick Extra.name "anonymous"}}}"# r#"{"name": "Ann"}"# => r#"{"name":"Ann"}"#
    "required" "value [message]" (1, 2) Body::Lazy(Lazy::Required);
        "The value; where it is missing or null no token is made, whatever `missing` says. The message is \
            written in the template.";
        r#"{"tenant": {{required Extra.tenant "the session names no tenant"}}}"#
        r#"{"tenant": "t-1"}"# =>
        r#"{"tenant":"t-1"}"#
    "has" "value" (1, 1) Body::Eager(logic::has);
        "Whether the value is there: neither missing nor null. False, 0 and empty text are there, although they do not \
            hold in `{{#if}}`.";
        r#"{ {{#if (has Extra.age)}}"age": {{Extra.age}}{{/if}} }"# r#"{"age": 0}"# => r#"{"age":0}"#
    "fail" "message" (1, 1) Body::Eager(logic::fail);
        "Makes no token: the request is refused with status 403, the code `session.refused` and the message, which is \
            written in the template. It can stand before the claims, between members, and in place of a value.";
        r#"{{#if (ne Extra.aal "aal2")}}{{fail "requires aal2"}}{{/if}}{"aal": {{Extra.aal}}}"#
        r#"{"aal": "aal2"}"# =>
        r#"{"aal":"aal2"}"#
    "eq" "left right" (2, 2) Body::Eager(logic::eq);
        "Whether both say the same. Numbers compare exactly (1 is 1.0), a number is never equal to a string, a \
            missing value equals null.";
        r#"{"admin": {{eq Extra.role "admin"}}}"# r#"{"role": "admin"}"# => r#"{"admin":true}"#
    "ne" "left right" (2, 2) Body::Eager(logic::ne);
        "The opposite of `eq`.";
        r#"{"guest": {{ne Extra.role "member"}}}"# r#"{"role": "member"}"# => r#"{"guest":false}"#
    "lt" "left right" (2, 2) Body::Eager(logic::lt);
        "Whether left is less: two numbers, exactly, or two strings, by code point.";
        r#"{"minor": {{lt Extra.age 18}}}"# r#"{"age": 17}"# => r#"{"minor":true}"#
    "le" "left right" (2, 2) Body::Eager(logic::le);
        "Whether left is less or equal.";
        r#"{"ok": {{le Extra.level 3}}}"# r#"{"level": 3.0}"# => r#"{"ok":true}"#
    "lte" "left right" (2, 2) Body::Eager(logic::le);
        "The same as `le`.";
        r#"{"ok": {{lte Extra.level 3}}}"# r#"{"level": 4}"# => r#"{"ok":false}"#
    "gt" "left right" (2, 2) Body::Eager(logic::gt);
        "Whether left is greater.";
        r#"{"big": {{gt Extra.id 9007199254740992}}}"# r#"{"id": 9007199254740993}"# => r#"{"big":true}"#
    "ge" "left right" (2, 2) Body::Eager(logic::ge);
        "Whether left is greater or equal.";
        r#"{"adult": {{ge Extra.age 18}}}"# r#"{"age": 18}"# => r#"{"adult":true}"#
    "gte" "left right" (2, 2) Body::Eager(logic::ge);
        "The same as `ge`.";
        r#"{"adult": {{gte Extra.age 18}}}"# r#"{"age": 17}"# => r#"{"adult":false}"#
    "and" "value …" (1, ANY) Body::Lazy(Lazy::And);
        "Whether every value holds: missing, null, false, 0, empty text, an empty array and an empty object do not.";
        r#"{"ok": {{and Extra.active Extra.roles}}}"# r#"{"active": true, "roles": []}"# => r#"{"ok":false}"#
    "or" "value …" (1, ANY) Body::Lazy(Lazy::Or);
        "Whether at least one value holds. For the first value itself use `coalesce`.";
        r#"{"ok": {{or Extra.admin Extra.staff}}}"# r#"{"staff": true}"# => r#"{"ok":true}"#
    "not" "value" (1, 1) Body::Eager(logic::not);
        "Whether the value does not hold.";
        r#"{"open": {{not Extra.locked}}}"# r#"{}"# => r#"{"open":true}"#
    "len" "value" (1, 1) Body::Eager(collections::len);
        "How many characters, elements or members there are.";
        r#"{"count": {{len Extra.roles}}}"# r#"{"roles": ["a", "b"]}"# => r#"{"count":2}"#
    "index" "value key …" (2, ANY) Body::Eager(collections::index);
        "The member or element that a key names; more keys go deeper. For names that are only known when the \
            template runs.";
        r#"{"plan": {{index Extra.plans Extra.tenant 0}}}"#
        r#"{"plans": {"t-1": ["gold"]}, "tenant": "t-1"}"# =>
        r#"{"plan":"gold"}"#
    "lookup" "value key …" (2, ANY) Body::Eager(collections::index);
        "The same as `index`.";
        r#"{"plan": {{lookup Extra.plans Extra.tenant}}}"#
        r#"{"plans": {"t-1": "gold"}, "tenant": "t-1"}"# =>
        r#"{"plan":"gold"}"#
    "first" "array" (1, 1) Body::Eager(collections::first);
        "The first element; an empty array has none, which counts as missing.";
        r#"{"email": {{first Extra.emails}}}"# r#"{"emails": ["a@x", "b@x"]}"# => r#"{"email":"a@x"}"#
    "last" "array" (1, 1) Body::Eager(collections::last);
        "The last element.";
        r#"{"email": {{last Extra.emails}}}"# r#"{"emails": ["a@x", "b@x"]}"# => r#"{"email":"b@x"}"#
    "join" "array [separator]" (1, 2) Body::Eager(texts::join);
        "The elements as one text with the separator between them, a comma if none is given. Elements are \
            strings, numbers or booleans.";
        r#"{"scope": "{{join Extra.scopes " "}}"}"# r#"{"scopes": ["read", "write"]}"# => r#"{"scope":"read write"}"#
    "split" "text separator" (2, 2) Body::Eager(texts::split);
        "The parts of a text between separators, as an array.";
        r#"{"scopes": {{split Extra.scope " "}}}"# r#"{"scope": "read write"}"# => r#"{"scopes":["read","write"]}"#
    "concat" "value …" (1, ANY) Body::Eager(texts::concat);
        "One text of strings, numbers and booleans, or one array of arrays.";
        r#"{"all": {{concat Extra.roles ["user"]}}, "id": {{concat Extra.realm ":" Extra.id}}}"#
        r#"{"roles": ["a"], "realm": "r", "id": 7}"# =>
        r#"{"all":["a","user"],"id":"r:7"}"#
    "unique" "array" (1, 1) Body::Eager(collections::unique);
        "The elements without those that were there before.";
        r#"{"roles": {{unique Extra.roles}}}"# r#"{"roles": ["a", "b", "a"]}"# => r#"{"roles":["a","b"]}"#
    "sort" "array" (1, 1) Body::Eager(collections::sort);
        "The elements in order: all numbers, exactly, or all strings, by code point.";
        r#"{"roles": {{sort Extra.roles}}}"# r#"{"roles": ["b", "a"]}"# => r#"{"roles":["a","b"]}"#
    "contains" "value wanted" (2, 2) Body::Eager(collections::contains);
        "Whether an array holds an element, a text holds another, or an object has a member of that name.";
        r#"{"admin": {{contains Extra.roles "admin"}}}"# r#"{"roles": ["admin"]}"# => r#"{"admin":true}"#
    "pluck" "array path" (2, 2) Body::Eager(collections::pluck);
        "What the path leads to in each element; elements that lack it are passed over.";
        r#"{"methods": {{pluck Extra.methods "method"}}}"#
        r#"{"methods": [{"method": "password"}, {"method": "totp"}, {}]}"# =>
        r#"{"methods":["password","totp"]}"#
    "pick" "object path …" (2, ANY) Body::Eager(collections::pick);
        "The object cut down to the paths given. A path goes through every element of an array; one that leads \
            nowhere is passed over.";
        r#"{"user": {{pick Extra.identity "id" "traits.email"}}}"#
        r#"{"identity": {"id": "i", "traits": {"email": "a@x", "ssn": "1"}}}"# =>
        r#"{"user":{"id":"i","traits":{"email":"a@x"}}}"#
    "omit" "object path …" (2, ANY) Body::Eager(collections::omit);
        "The object without the paths given.";
        r#"{"user": {{omit Extra.identity "credentials" "traits.ssn"}}}"#
        r#"{"identity": {"id": "i", "traits": {"email": "a@x", "ssn": "1"}, "credentials": {}}}"# =>
        r#"{"user":{"id":"i","traits":{"email":"a@x"}}}"#
    "merge" "object …" (1, ANY) Body::Eager(collections::merge);
        "One object with the members of all; of a name that comes twice the last value stays, in the first place.";
        r#"{"user": {{merge Extra.public Extra.admin {"v": 2}}}}"#
        r#"{"public": {"name": "Ann", "v": 1}, "admin": {"state": "active"}}"# =>
        r#"{"user":{"name":"Ann","v":2,"state":"active"}}"#
    "keys" "object" (1, 1) Body::Eager(collections::keys);
        "The member names as an array.";
        r#"{"groups": {{keys Extra.groups}}}"# r#"{"groups": {"ops": 1, "dev": 2}}"# => r#"{"groups":["ops","dev"]}"#
    "values" "object" (1, 1) Body::Eager(collections::values);
        "The values of the members as an array.";
        r#"{"levels": {{values Extra.groups}}}"# r#"{"groups": {"ops": 1, "dev": 2}}"# => r#"{"levels":[1,2]}"#
    "upper" "text" (1, 1) Body::Eager(texts::upper);
        "The text in capital letters.";
        r#"{"code": "{{upper Extra.code}}"}"# r#"{"code": "de"}"# => r#"{"code":"DE"}"#
    "lower" "text" (1, 1) Body::Eager(texts::lower);
        "The text in small letters.";
        r#"{"email": "{{lower Extra.email}}"}"# r#"{"email": "Ann@X"}"# => r#"{"email":"ann@x"}"#
    "trim" "text" (1, 1) Body::Eager(texts::trim);
        "The text without white space at both ends.";
        r#"{"name": "{{trim Extra.name}}"}"# r#"{"name": " Ann "}"# => r#"{"name":"Ann"}"#
    "replace" "text old new" (3, 3) Body::Eager(texts::replace);
        "The text with every old part replaced by the new one.";
        r#"{"slug": "{{replace Extra.name " " "-"}}"}"# r#"{"name": "a b c"}"# => r#"{"slug":"a-b-c"}"#
    "hasPrefix" "text prefix" (2, 2) Body::Eager(texts::has_prefix);
        "Whether the text starts so.";
        r#"{"staff": {{hasPrefix Extra.id "s-"}}}"# r#"{"id": "s-1"}"# => r#"{"staff":true}"#
    "hasSuffix" "text suffix" (2, 2) Body::Eager(texts::has_suffix);
        "Whether the text ends so.";
        r#"{"staff": {{hasSuffix Extra.email "@example.com"}}}"#
        r#"{"email": "a@example.com"}"# =>
        r#"{"staff":true}"#
    "trimPrefix" "text prefix" (2, 2) Body::Eager(texts::trim_prefix);
        "The text without that start, if it has it.";
        r#"{"id": "{{trimPrefix Extra.id "s-"}}"}"# r#"{"id": "s-1"}"# => r#"{"id":"1"}"#
    "trimSuffix" "text suffix" (2, 2) Body::Eager(texts::trim_suffix);
        "The text without that end, if it has it.";
        r#"{"name": "{{trimSuffix Extra.email "@x"}}"}"# r#"{"email": "ann@x"}"# => r#"{"name":"ann"}"#
    "int" "value" (1, 1) Body::Eager(convert::int);
        "A whole number, written plainly: 42, 42.0, 4.2e1 and the string \"42\" all give 42. A number with a \
            fraction is an error.";
        r#"{"rank": {{int Extra.rank}}}"# r#"{"rank": "42"}"# => r#"{"rank":42}"#
    "number" "value" (1, 1) Body::Eager(convert::number);
        "A number as it is written, also from a string that holds one.";
        r#"{"price": {{number Extra.price}}}"# r#"{"price": "10.50"}"# => r#"{"price":10.50}"#
    "string" "value" (1, 1) Body::Eager(convert::string);
        "The text of a string, number or boolean.";
        r#"{"id": {{string Extra.id}}}"# r#"{"id": 12345678901234567890}"# => r#"{"id":"12345678901234567890"}"#
    "bool" "value" (1, 1) Body::Eager(convert::bool);
        "A boolean, also from the strings \"true\" and \"false\".";
        r#"{"active": {{bool Extra.active}}}"# r#"{"active": "true"}"# => r#"{"active":true}"#
    "unix" "time" (1, 1) Body::Eager(convert::unix);
        "Seconds since 1970 (a NumericDate) of an RFC 3339 date and time; a number passes. Parts of a second are \
            cut off.";
        r#"{"auth_time": {{unix Extra.authenticated_at}}}"#
        r#"{"authenticated_at": "2026-01-16T09:12:33.104Z"}"# =>
        r#"{"auth_time":1768554753}"#
    "sha256" "text" (1, 1) Body::Eager(convert::sha256);
        "The SHA-256 of the text's UTF-8, in hexadecimal.";
        r#"{"email_hash": "{{sha256 (lower Extra.email)}}"}"#
        r#"{"email": "abc"}"# =>
        r#"{"email_hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#
    "base64url" "text" (1, 1) Body::Eager(convert::base64url);
        "The text's UTF-8 in base64url without padding.";
        r#"{"name": "{{base64url Extra.name}}"}"# r#"{"name": "Ann?>"}"# => r#"{"name":"QW5uPz4"}"#
    "regexMatch" "text pattern" (2, 2) Body::Eager(texts::regex_match);
        "Whether the pattern matches somewhere in the text; `^` and `$` tie it to the ends. Matching takes time \
            linear in the text.";
        r#"{"internal": {{regexMatch Extra.email "@(corp\\.)?example\\.com$"}}}"#
        r#"{"email": "a@corp.example.com"}"# =>
        r#"{"internal":true}"#
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_or_two_that_changed_places_are_near() {
        for near in ["unix", "unx", "uunix", "unit", "unxi", "nuix"] {
            assert!(is_near("unix", near), "{near}");
        }
        for far in ["", "uinxx", "un", "xinu", "unixes"] {
            assert!(!is_near("unix", far), "{far}");
        }
    }
}
