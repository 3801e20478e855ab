//! As much of DER (X.690) as public keys need.

/// The tags of the types in a public key.
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// One value with its tag and length.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let bytes = content.len().to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            // A length has at most eight bytes.
            der.push(0x80 | long.len() as u8);
            der.extend(long);
        }
    }
    der.extend(content);
    der
}

/// A positive integer without leading zeros.
pub(super) fn unsigned(number: &[u8]) -> Vec<u8> {
    let is_negative = number.first().is_some_and(|first| *first >= 0x80);
    let mut content = if is_negative { vec![0] } else { Vec::new() };
    content.extend(number);
    value(INTEGER, &content)
}

/// Reads values one after another.
pub(super) struct Reader<'d>(pub &'d [u8]);

impl<'d> Reader<'d> {
    /// The content of the next value, which must have this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short if short < 0x80 => (usize::from(short), rest),
            long => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                // Keys are far below a length of three bytes.
                let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                (Some(length).filter(|_| (1..=3).contains(&bytes.len()))?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(content)
    }

    /// The next value, a positive integer without leading zeros.
    pub(super) fn unsigned(&mut self) -> Option<&'d [u8]> {
        let content = self.take(INTEGER)?;
        let number = content.strip_prefix(&[0]).unwrap_or(content);
        number.first().is_some_and(|first| *first != 0).then_some(number)
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_were_written() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1_0000] {
            let content = vec![7; length];
            let der = value(SEQUENCE, &content);
            let mut reader = Reader(&der);
            assert_eq!(reader.take(SEQUENCE), Some(&*content), "{length}");
            assert!(reader.is_done());
            assert_eq!(Reader(&der[..der.len() - 1]).take(SEQUENCE), None, "cut off");
        }
        for number in [vec![1], vec![0x7f], vec![0x80], vec![0xff; 200]] {
            assert_eq!(Reader(&unsigned(&number)).unsigned(), Some(&*number));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&[][..], &[0x30], &[0x30, 1], &[0x30, 0x80, 0, 0], &[0x30, 0x84, 0, 0, 0, 0], &[0x31, 0]] {
            assert_eq!(Reader(bytes).take(SEQUENCE), None, "{bytes:x?}");
        }
        for zero in [&[2, 1, 0][..], &[2, 0], &[2, 2, 0, 0]] {
            assert_eq!(Reader(zero).unsigned(), None, "{zero:x?}");
        }
    }
}
