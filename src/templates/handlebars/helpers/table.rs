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
        "Returns the value unchanged. `{{toJson Extra.x}}` and `{{Extra.x}}` are equivalent, because the position \
         determines the encoding.";
        r#"{"traits": {{toJson Extra.traits}}}"# r#"{"traits": {"a": [1, 2.0]}}"# => r#"{"traits":{"a":[1,2.0]}}"#
    "default" "value fallback" (2, 2) Body::Lazy(Lazy::Default);
        "Returns the value, or the fallback if the value is missing or null. False, 0 and empty text are returned \
         unchanged.";
        r#"{"plan": {{default Extra.plan "free"}}}"# r#"{"plan": null}"# => r#"{"plan":"free"}"#
    "coalesce" "value …" (1, ANY) Body::Lazy(Lazy::Coalesce);
        "Returns the first value that is neither missing nor null.";
        r#"{"name": {{coalesce Extra.nick Extra.name "anonymous"}}}"# r#"{"name": "Ann"}"# => r#"{"name":"Ann"}"#
    "required" "value [message]" (1, 2) Body::Lazy(Lazy::Required);
        "Returns the value. If it is missing or null, no token is issued, regardless of `missing`. The message must \
         be text of the template.";
        r#"{"tenant": {{required Extra.tenant "the session names no tenant"}}}"#
        r#"{"tenant": "t-1"}"# =>
        r#"{"tenant":"t-1"}"#
    "has" "value" (1, 1) Body::Eager(logic::has);
        "Returns true if the value is neither missing nor null. It is true for false, 0 and empty text, although \
         these are falsy in `{{#if}}`.";
        r#"{ {{#if (has Extra.age)}}"age": {{Extra.age}}{{/if}} }"# r#"{"age": 0}"# => r#"{"age":0}"#
    "fail" "message" (1, 1) Body::Eager(logic::fail);
        "Rejects the request with status 403, the code `session.refused` and the message, which must be text of the \
         template. `fail` can appear before the claims, between members, and at the position of a value.";
        r#"{{#if (ne Extra.aal "aal2")}}{{fail "requires aal2"}}{{/if}}{"aal": {{Extra.aal}}}"#
        r#"{"aal": "aal2"}"# =>
        r#"{"aal":"aal2"}"#
    "eq" "left right" (2, 2) Body::Eager(logic::eq);
        "Returns true if both values are equal. Numbers are compared exactly (1 equals 1.0). A number is never equal \
         to a string. A missing value equals null.";
        r#"{"admin": {{eq Extra.role "admin"}}}"# r#"{"role": "admin"}"# => r#"{"admin":true}"#
    "ne" "left right" (2, 2) Body::Eager(logic::ne);
        "Returns the opposite of `eq`.";
        r#"{"guest": {{ne Extra.role "member"}}}"# r#"{"role": "member"}"# => r#"{"guest":false}"#
    "lt" "left right" (2, 2) Body::Eager(logic::lt);
        "Returns true if left is less than right. Two numbers are compared exactly, two strings by code point.";
        r#"{"minor": {{lt Extra.age 18}}}"# r#"{"age": 17}"# => r#"{"minor":true}"#
    "le" "left right" (2, 2) Body::Eager(logic::le);
        "Returns true if left is less than or equal to right.";
        r#"{"ok": {{le Extra.level 3}}}"# r#"{"level": 3.0}"# => r#"{"ok":true}"#
    "lte" "left right" (2, 2) Body::Eager(logic::le);
        "Alias of `le`.";
        r#"{"ok": {{lte Extra.level 3}}}"# r#"{"level": 4}"# => r#"{"ok":false}"#
    "gt" "left right" (2, 2) Body::Eager(logic::gt);
        "Returns true if left is greater than right.";
        r#"{"big": {{gt Extra.id 9007199254740992}}}"# r#"{"id": 9007199254740993}"# => r#"{"big":true}"#
    "ge" "left right" (2, 2) Body::Eager(logic::ge);
        "Returns true if left is greater than or equal to right.";
        r#"{"adult": {{ge Extra.age 18}}}"# r#"{"age": 18}"# => r#"{"adult":true}"#
    "gte" "left right" (2, 2) Body::Eager(logic::ge);
        "Alias of `ge`.";
        r#"{"adult": {{gte Extra.age 18}}}"# r#"{"age": 17}"# => r#"{"adult":false}"#
    "and" "value …" (1, ANY) Body::Lazy(Lazy::And);
        "Returns true if every value is truthy. Missing values, null, false, 0, empty text, an empty array and an \
         empty object are falsy.";
        r#"{"ok": {{and Extra.active Extra.roles}}}"# r#"{"active": true, "roles": []}"# => r#"{"ok":false}"#
    "or" "value …" (1, ANY) Body::Lazy(Lazy::Or);
        "Returns true if at least one value is truthy. To get the first value itself, use `coalesce`.";
        r#"{"ok": {{or Extra.admin Extra.staff}}}"# r#"{"staff": true}"# => r#"{"ok":true}"#
    "not" "value" (1, 1) Body::Eager(logic::not);
        "Returns true if the value is falsy.";
        r#"{"open": {{not Extra.locked}}}"# r#"{}"# => r#"{"open":true}"#
    "len" "value" (1, 1) Body::Eager(collections::len);
        "Returns the number of characters, elements or members.";
        r#"{"count": {{len Extra.roles}}}"# r#"{"roles": ["a", "b"]}"# => r#"{"count":2}"#
    "index" "value key …" (2, ANY) Body::Eager(collections::index);
        "Returns the member or element for a key. Further keys select nested values. Use it if a key comes from the \
         session.";
        r#"{"plan": {{index Extra.plans Extra.tenant 0}}}"#
        r#"{"plans": {"t-1": ["gold"]}, "tenant": "t-1"}"# =>
        r#"{"plan":"gold"}"#
    "lookup" "value key …" (2, ANY) Body::Eager(collections::index);
        "Alias of `index`.";
        r#"{"plan": {{lookup Extra.plans Extra.tenant}}}"#
        r#"{"plans": {"t-1": "gold"}, "tenant": "t-1"}"# =>
        r#"{"plan":"gold"}"#
    "first" "array" (1, 1) Body::Eager(collections::first);
        "Returns the first element. For an empty array, the result is missing.";
        r#"{"email": {{first Extra.emails}}}"# r#"{"emails": ["a@x", "b@x"]}"# => r#"{"email":"a@x"}"#
    "last" "array" (1, 1) Body::Eager(collections::last);
        "Returns the last element. For an empty array, the result is missing.";
        r#"{"email": {{last Extra.emails}}}"# r#"{"emails": ["a@x", "b@x"]}"# => r#"{"email":"b@x"}"#
    "join" "array [separator]" (1, 2) Body::Eager(texts::join);
        "Returns the elements as one string with the separator between them. The default is a comma. Elements must \
         be strings, numbers or booleans.";
        r#"{"scope": "{{join Extra.scopes " "}}"}"# r#"{"scopes": ["read", "write"]}"# => r#"{"scope":"read write"}"#
    "split" "text separator" (2, 2) Body::Eager(texts::split);
        "Returns the parts of a string between separators, as an array.";
        r#"{"scopes": {{split Extra.scope " "}}}"# r#"{"scope": "read write"}"# => r#"{"scopes":["read","write"]}"#
    "concat" "value …" (1, ANY) Body::Eager(texts::concat);
        "Returns strings, numbers and booleans as one string, or arrays as one array.";
        r#"{"all": {{concat Extra.roles ["user"]}}, "id": {{concat Extra.realm ":" Extra.id}}}"#
        r#"{"roles": ["a"], "realm": "r", "id": 7}"# =>
        r#"{"all":["a","user"],"id":"r:7"}"#
    "unique" "array" (1, 1) Body::Eager(collections::unique);
        "Returns the elements without duplicates, in the order of first occurrence.";
        r#"{"roles": {{unique Extra.roles}}}"# r#"{"roles": ["a", "b", "a"]}"# => r#"{"roles":["a","b"]}"#
    "sort" "array" (1, 1) Body::Eager(collections::sort);
        "Returns the elements in ascending order. All must be numbers, compared exactly, or all strings, compared by \
         code point.";
        r#"{"roles": {{sort Extra.roles}}}"# r#"{"roles": ["b", "a"]}"# => r#"{"roles":["a","b"]}"#
    "contains" "value wanted" (2, 2) Body::Eager(collections::contains);
        "Returns true if an array contains an element, a string contains another string, or an object has a member \
         of that name.";
        r#"{"admin": {{contains Extra.roles "admin"}}}"# r#"{"roles": ["admin"]}"# => r#"{"admin":true}"#
    "pluck" "array path" (2, 2) Body::Eager(collections::pluck);
        "Returns the value at the path in each element. Elements without the path are skipped.";
        r#"{"methods": {{pluck Extra.methods "method"}}}"#
        r#"{"methods": [{"method": "password"}, {"method": "totp"}, {}]}"# =>
        r#"{"methods":["password","totp"]}"#
    "pick" "object path …" (2, ANY) Body::Eager(collections::pick);
        "Returns the object with only the given paths. A path applies to every element of an array. A path that does \
         not exist is skipped.";
        r#"{"user": {{pick Extra.identity "id" "traits.email"}}}"#
        r#"{"identity": {"id": "i", "traits": {"email": "a@x", "ssn": "1"}}}"# =>
        r#"{"user":{"id":"i","traits":{"email":"a@x"}}}"#
    "omit" "object path …" (2, ANY) Body::Eager(collections::omit);
        "Returns the object without the given paths.";
        r#"{"user": {{omit Extra.identity "credentials" "traits.ssn"}}}"#
        r#"{"identity": {"id": "i", "traits": {"email": "a@x", "ssn": "1"}, "credentials": {}}}"# =>
        r#"{"user":{"id":"i","traits":{"email":"a@x"}}}"#
    "merge" "object …" (1, ANY) Body::Eager(collections::merge);
        "Returns one object with the members of all objects. If a name is repeated, the last value is kept at the \
         position of the first.";
        r#"{"user": {{merge Extra.public Extra.admin {"v": 2}}}}"#
        r#"{"public": {"name": "Ann", "v": 1}, "admin": {"state": "active"}}"# =>
        r#"{"user":{"name":"Ann","v":2,"state":"active"}}"#
    "keys" "object" (1, 1) Body::Eager(collections::keys);
        "Returns the member names as an array.";
        r#"{"groups": {{keys Extra.groups}}}"# r#"{"groups": {"ops": 1, "dev": 2}}"# => r#"{"groups":["ops","dev"]}"#
    "values" "object" (1, 1) Body::Eager(collections::values);
        "Returns the member values as an array.";
        r#"{"levels": {{values Extra.groups}}}"# r#"{"groups": {"ops": 1, "dev": 2}}"# => r#"{"levels":[1,2]}"#
    "upper" "text" (1, 1) Body::Eager(texts::upper);
        "Returns the text in upper case.";
        r#"{"code": "{{upper Extra.code}}"}"# r#"{"code": "de"}"# => r#"{"code":"DE"}"#
    "lower" "text" (1, 1) Body::Eager(texts::lower);
        "Returns the text in lower case.";
        r#"{"email": "{{lower Extra.email}}"}"# r#"{"email": "Ann@X"}"# => r#"{"email":"ann@x"}"#
    "trim" "text" (1, 1) Body::Eager(texts::trim);
        "Returns the text without leading and trailing white space.";
        r#"{"name": "{{trim Extra.name}}"}"# r#"{"name": " Ann "}"# => r#"{"name":"Ann"}"#
    "replace" "text old new" (3, 3) Body::Eager(texts::replace);
        "Returns the text with every occurrence of `old` replaced by `new`.";
        r#"{"slug": "{{replace Extra.name " " "-"}}"}"# r#"{"name": "a b c"}"# => r#"{"slug":"a-b-c"}"#
    "hasPrefix" "text prefix" (2, 2) Body::Eager(texts::has_prefix);
        "Returns true if the text starts with the prefix.";
        r#"{"staff": {{hasPrefix Extra.id "s-"}}}"# r#"{"id": "s-1"}"# => r#"{"staff":true}"#
    "hasSuffix" "text suffix" (2, 2) Body::Eager(texts::has_suffix);
        "Returns true if the text ends with the suffix.";
        r#"{"staff": {{hasSuffix Extra.email "@example.com"}}}"#
        r#"{"email": "a@example.com"}"# =>
        r#"{"staff":true}"#
    "trimPrefix" "text prefix" (2, 2) Body::Eager(texts::trim_prefix);
        "Returns the text without the prefix, or unchanged if the prefix is absent.";
        r#"{"id": "{{trimPrefix Extra.id "s-"}}"}"# r#"{"id": "s-1"}"# => r#"{"id":"1"}"#
    "trimSuffix" "text suffix" (2, 2) Body::Eager(texts::trim_suffix);
        "Returns the text without the suffix, or unchanged if the suffix is absent.";
        r#"{"name": "{{trimSuffix Extra.email "@x"}}"}"# r#"{"email": "ann@x"}"# => r#"{"name":"ann"}"#
    "int" "value" (1, 1) Body::Eager(convert::int);
        "Returns an integer in plain decimal notation: 42, 42.0, 4.2e1 and the string \"42\" all give 42. A number \
         with a fraction is an error.";
        r#"{"rank": {{int Extra.rank}}}"# r#"{"rank": "42"}"# => r#"{"rank":42}"#
    "number" "value" (1, 1) Body::Eager(convert::number);
        "Returns a number with its digits unchanged. A string that contains a number is accepted.";
        r#"{"price": {{number Extra.price}}}"# r#"{"price": "10.50"}"# => r#"{"price":10.50}"#
    "string" "value" (1, 1) Body::Eager(convert::string);
        "Returns a string, number or boolean as a string.";
        r#"{"id": {{string Extra.id}}}"# r#"{"id": 12345678901234567890}"# => r#"{"id":"12345678901234567890"}"#
    "bool" "value" (1, 1) Body::Eager(convert::bool);
        "Returns a boolean. The strings \"true\" and \"false\" are accepted.";
        r#"{"active": {{bool Extra.active}}}"# r#"{"active": "true"}"# => r#"{"active":true}"#
    "unix" "time" (1, 1) Body::Eager(convert::unix);
        "Returns an RFC 3339 date and time as a NumericDate, the seconds since 1970. A number is accepted. Fractions \
         of a second are cut off.";
        r#"{"auth_time": {{unix Extra.authenticated_at}}}"#
        r#"{"authenticated_at": "2026-01-16T09:12:33.104Z"}"# =>
        r#"{"auth_time":1768554753}"#
    "sha256" "text" (1, 1) Body::Eager(convert::sha256);
        "Returns the SHA-256 hash of the text in UTF-8, in hexadecimal.";
        r#"{"email_hash": "{{sha256 (lower Extra.email)}}"}"#
        r#"{"email": "abc"}"# =>
        r#"{"email_hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#
    "base64url" "text" (1, 1) Body::Eager(convert::base64url);
        "Returns the text in UTF-8 as base64url without padding.";
        r#"{"name": "{{base64url Extra.name}}"}"# r#"{"name": "Ann?>"}"# => r#"{"name":"QW5uPz4"}"#
    "regexMatch" "text pattern" (2, 2) Body::Eager(texts::regex_match);
        "Returns true if the pattern matches anywhere in the text. `^` and `$` anchor it to the ends. Matching takes \
         time linear in the text.";
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
