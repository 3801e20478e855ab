//! Path templates at run time, in the form of generated code.

use transcoder::router::{Segment, Template, Variable};
use transcoder_build::template::{self, Template as Parsed};

/// Parses a template. Its memory is leaked.
///
/// # Errors
/// The text is not a template.
pub fn leaked(text: &str) -> Result<&'static Template, String> {
    let parsed = Parsed::parse(text).map_err(|why| format!("{text}: {why}"))?;
    let segments = parsed.segments.iter().map(|segment| match segment {
        template::Segment::Literal(text) => Segment::Literal(text.clone().leak()),
        template::Segment::Any => Segment::Any,
        template::Segment::Rest => Segment::Rest,
    });
    let variables = parsed.variables.iter().map(|variable| Variable {
        field: variable.field.clone().leak(),
        first: variable.first,
        last: variable.last,
    });
    Ok(Box::leak(Box::new(Template {
        text: text.to_owned().leak(),
        segments: segments.collect::<Vec<_>>().leak(),
        verb: parsed.verb.clone().leak(),
        variables: variables.collect::<Vec<_>>().leak(),
    })))
}
