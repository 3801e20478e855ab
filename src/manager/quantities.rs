//! Quantities as Kubernetes writes them, such as `500m` and `8Gi`.

/// Suffixes of the number: powers of 1024 and of 10.
const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// The longest quantity that is accepted.
const LONGEST: usize = 32;

/// Whether a text is a quantity that is not negative.
pub(super) fn is_quantity(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    text.len() <= LONGEST && is_decimal(number) && (SUFFIXES.contains(&suffix) || is_exponent(suffix))
}

/// Digits with at most one point among them.
fn is_decimal(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().filter(|b| *b == b'.').count() <= 1
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['e', 'E']).map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
    digits.is_some_and(|digits| (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for good in ["0", "4", "500m", "0.5", ".5", "1.", "8Gi", "1e3", "1E-3", "12e6", "100n", "2Ei", "1k"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "-1",
            "+1",
            "1 ",
            "1K",
            "1gi",
            "1GiB",
            "1..2",
            "1.2.3",
            "e3",
            "1e",
            "1e+",
            "1e333",
            "four",
            "1,5",
            &"1".repeat(33),
        ] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
