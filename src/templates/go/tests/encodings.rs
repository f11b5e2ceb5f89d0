//! Base64, base32, checksums and JSON as functions.

use super::{refused, texts, values};
use crate::code::ErrorCode;

#[test]
fn faults_of_encoded_text_are_written_as_sprig_writes_them() {
    texts(&[
        ("{{ b64dec `aGk=` }}|{{ b64dec `aG\nk=` }}|{{ b64dec `` }}", "hi|hi|"),
        ("{{ b64dec `a!` }}", "illegal base64 data at input byte 1"),
        ("{{ b64dec `abc` }}", "illegal base64 data at input byte 0"),
        ("{{ b64dec `ab=` }}", "illegal base64 data at input byte 3"),
        ("{{ b64dec `ab=c` }}", "illegal base64 data at input byte 2"),
        ("{{ b64dec `aGk=x` }}", "illegal base64 data at input byte 4"),
        ("{{ b64dec `=` }}", "illegal base64 data at input byte 0"),
        (
            "{{ b32enc `hello` }}|{{ b32dec `NBUQ====` }}|{{ b32dec `1` }}",
            "NBSWY3DP|hi|illegal base32 data at input byte 0",
        ),
        ("{{ adler32sum `Wikipedia` }}|{{ sha1sum `` | trunc 8 }}", "300286872|da39a3ee"),
    ]);
}

#[test]
fn json_is_written_as_go_writes_it() {
    values(&[("{{ toJson 1e21 }}", "1e+21")]);
    texts(&[
        ("{{ toJson 1e-7 }} {{ toJson 100000000000000000000.0 }} {{ toJson -0.0 }}", "1e-7 100000000000000000000 -0"),
        ("{{ toJson nil }}{{ toJson (rest list) }}{{ toJson list }}{{ toJson dict }}", "nullnull[]{}"),
        ("{{ toJson (float64 `nan`) }}{{ fromJson `x` | toJson }}", "null"),
    ]);
    values(&[
        ("{{ toJson `<\u{2028}>` }}", "\"<\\u2028>\""),
        ("{{ toPrettyJson (dict `a` (list 1)) | toJson }}", "\"{\\n  \\\"a\\\": [\\n    1\\n  ]\\n}\""),
        ("{{ toRawJson `<&>` | toJson }}", "\"\\\"<&>\\\"\""),
        ("{{ toJson `<&>` | toJson }}", "\"\\\"\\\\u003c\\\\u0026\\\\u003e\\\"\""),
        ("{{ fromJson `{\"a\":[1,null]}` | toJson }}", "{\"a\":[1,null]}"),
    ]);
    refused(&[
        ("{\"v\": {{ mustToJson (float64 `inf`) }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ toRawJson (float64 `inf`) }}}", ErrorCode::TemplateWrongType),
        ("{\"v\": {{ mustFromJson `{` }}}", ErrorCode::TemplateWrongType),
    ]);
}
