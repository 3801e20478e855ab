//! Where Python deviates from the ProtoJSON specification, or the specification leaves a choice, one by one.

/// How the two read a text.
#[derive(Debug)]
pub enum Verdict {
    BothRead,
    BothRefuse,
    /// Why we do not.
    OnlyPythonReads(String),
    /// Why Python does not.
    OnlyWeRead(String),
    /// Our value and Python's.
    Differ(String, String),
}

impl Verdict {
    /// Only Python reads it, and our error ends with this text.
    fn we_say(&self, end: &str) -> bool {
        matches!(self, Self::OnlyPythonReads(why) if why.ends_with(end))
    }

    /// Only we read it, and Python's error contains this text.
    fn python_says(&self, part: &str) -> bool {
        matches!(self, Self::OnlyWeRead(why) if why.contains(part))
    }
}

/// A deviation. The sentences are those of the page "ProtoJSON Format" unless another source is named.
pub struct Deviation {
    pub name: &'static str,
    pub because: &'static str,
    of: fn(&Verdict, &str) -> bool,
}

impl Deviation {
    pub fn is_of(&self, verdict: &Verdict, text: &[u8]) -> bool {
        (self.of)(verdict, &String::from_utf8_lossy(text))
    }
}

/// Whether a field of an enum is in the text.
fn has_enum(text: &str) -> bool {
    ["olor", "lias", "ull"].iter().any(|part| text.contains(part))
}

fn has_number_beyond_double(text: &str) -> bool {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    let numbers = parts.filter(|part| part.starts_with(|c: char| c == '-' || c.is_ascii_digit()));
    numbers.filter_map(|part| part.parse::<f64>().ok()).any(f64::is_infinite)
}

const INTEGERS: [&str; 4] = [
    "expected a 32-bit integer",
    "expected a 64-bit integer",
    "expected an unsigned 32-bit integer",
    "expected an unsigned 64-bit integer",
];

/// All deviations. One that does not occur fails the test.
pub const DEVIATIONS: [Deviation; 25] = [
    Deviation {
        name: "numbers as Python spells them",
        because: "RFC 8259, 6: no plus sign, no leading zeros, no blanks, no digits but ASCII's, digits around the point; a \
                  quoted number is not different",
        of: |verdict, _| INTEGERS.iter().any(|end| verdict.we_say(end)) || verdict.we_say("expected a number"),
    },
    Deviation {
        name: "base64 with other characters, or padded wrongly",
        because: "bytes: either standard or URL-safe base64 encoding with or without paddings; RFC 4648, 3.3: other \
                  characters must be rejected",
        of: |verdict, _| verdict.we_say("expected base64"),
    },
    Deviation {
        name: "booleans as numbers",
        because: "float, double: a number or one of the special strings; enum: names and integer values; bool is not \
                  compatible with integers",
        of: |verdict, _| {
            verdict.we_say("expected a number, found a boolean")
                || verdict.we_say("expected a 32-bit integer, found a boolean")
        },
    },
    Deviation {
        name: "quoted numbers of enums",
        because: "enum: parsers accept both enum names and integer values; a text is a name",
        of: |verdict, _| verdict.we_say("not a value of the enum"),
    },
    Deviation {
        name: "fractions as enums",
        because: "values with nonzero fractional portions are not allowed for integer-typed fields",
        of: |verdict, text| has_enum(text) && verdict.we_say("found a fraction"),
    },
    Deviation {
        name: "enums out of range",
        because: "if the number doesn't fit in the corresponding type, the parser should fail to parse",
        of: |verdict, text| has_enum(text) && verdict.we_say("out of range for a 32-bit integer"),
    },
    Deviation {
        name: "floats out of range, quoted",
        because: "if the number doesn't fit in the corresponding type, the parser should fail to parse",
        of: |verdict, _| verdict.we_say("out of range for a number"),
    },
    Deviation {
        name: "the least int64 with a fraction of zero",
        because: "zero fractional portions are accepted, but what is smaller rounds to the same double; to read a number \
                  that does not fit is the worse fault, so we refuse both",
        of: |verdict, text| {
            text.contains("-9223372036854775808.0") && verdict.we_say("out of range for a 64-bit integer")
        },
    },
    Deviation {
        name: "empty texts and lists as messages",
        because: "message: object",
        of: |verdict, text| {
            (text.contains("\"\"") && verdict.we_say("expected an object, found a string"))
                || (text.contains("[]") && verdict.we_say("expected an object, found a list"))
        },
    },
    Deviation {
        name: "NaN and Infinity without quotes",
        because: "RFC 8259, 6: numeric values such as Infinity and NaN are not permitted",
        of: |verdict, text| {
            matches!(verdict, Verdict::OnlyPythonReads(why) if why.contains("malformed JSON"))
                && (text.contains("NaN") || text.contains("Infinity"))
        },
    },
    Deviation {
        name: "numbers beyond double in a Value",
        because: "if the number doesn't fit in the corresponding type, the parser should fail to parse; struct.proto: \
                  infinities are not serializable",
        of: |verdict, text| {
            matches!(verdict, Verdict::OnlyPythonReads(why) if why.contains("number out of range"))
                && has_number_beyond_double(text)
        },
    },
    Deviation {
        name: "one field in two spellings, one key in two",
        because: "duplicate values: parsers should accept, but it is preferred to reject rather than have an arbitrary value \
                  win; Python itself refuses a spelling that is repeated",
        of: |verdict, _| verdict.we_say("given twice"),
    },
    Deviation {
        name: "null of a Value or NullValue beside another member of its oneof",
        because: "null values: null is a sentinel-present value for these types, so two members are given; Python forgets the \
                  first",
        of: |verdict, text| text.contains(":null") && verdict.we_say("another field of the same oneof is already set"),
    },
    Deviation {
        name: "an Any whose URL has no slash",
        because: "any.proto: the URL must contain at least one / character",
        of: |verdict, text| {
            let bare = ["conformance.", "google."].iter().any(|name| text.contains(&format!("\"@type\":\"{name}")));
            bare && verdict.we_say("@type: unknown type")
        },
    },
    Deviation {
        name: "members beside the value in an Any",
        because: "the parser should reject unknown fields by default",
        of: |verdict, text| text.contains("@type") && verdict.we_say("unknown member"),
    },
    Deviation {
        name: "paths with what no field name has",
        because: "field_mask.proto: paths are names of fields, in lower camel case, joined by dots",
        of: |verdict, _| verdict.we_say("expected field paths in lower camel case, joined by commas"),
    },
    Deviation {
        name: "blanks and empty paths in a mask",
        because: "field_mask.proto: paths are names of fields, which have no blanks and are not empty; we leave them out",
        of: |verdict, text| matches!(verdict, Verdict::Differ(..)) && text.contains("Mask"),
    },
    Deviation {
        name: "durations in Python's spelling",
        because: "Duration: digits as long as they fit into nanoseconds precision; duration.proto: no plus sign",
        of: |verdict, _| verdict.we_say("expected a duration in seconds, such as 1.5s"),
    },
    Deviation {
        name: "timestamps that RFC 3339 does not have",
        because: "RFC 3339, 5.6: two digits a part, a fraction has digits, an offset has hours below 24 and minutes below 60",
        of: |verdict, _| verdict.we_say("expected an RFC 3339 time, such as 2026-01-31T12:00:00Z"),
    },
    Deviation {
        name: "deeper than we go",
        because: "no depth is specified; ours is 64 by default",
        of: |verdict, _| verdict.we_say("nested deeper than 64 levels"),
    },
    Deviation {
        name: "deeper than Python goes",
        because: "no depth is specified; Python counts a list in a Value as two levels",
        of: |verdict, _| verdict.python_says("Message too deep"),
    },
    Deviation {
        name: "the largest float in its shortest form",
        because: "3.4028235e38 is the largest float, and how every printer writes it, Python's too",
        of: |verdict, _| verdict.python_says("Float value too large"),
    },
    Deviation {
        name: "null in a list of NullValue",
        because: "null values: NullValue is a special exception, null is handled as a sentinel-present value; Python does not \
                  read what it writes",
        of: |verdict, text| verdict.python_says("null is not allowed to be used as an element") && text.contains("ull"),
    },
    Deviation {
        name: "null for a list of Value or NullValue",
        because: "parsers accept null as a legal value for any field; Python fails with an AttributeError",
        of: |verdict, _| verdict.python_says("AttributeError"),
    },
    Deviation {
        name: "minus zero without a fraction",
        because: "RFC 8259, 6: minus zero is a number of the grammar, and a double has it; Python makes it an integer",
        of: |verdict, text| match verdict {
            Verdict::Differ(ours, theirs) => text.contains("-0") && ours.replace("-0.0", "0.0") == *theirs,
            _ => false,
        },
    },
];
