//! The comments of the proto files, which become the descriptions in the documents.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// The leading comments of all elements of a pool.
#[derive(Debug)]
pub struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    /// Reads the comments of all files.
    pub fn new(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let info = file.file_descriptor_proto().source_code_info.as_ref();
            for location in info.iter().flat_map(|info| &info.location) {
                if let Some(text) = &location.leading_comments {
                    comments.insert((file.name().to_owned(), location.path.clone()), paragraphs(text));
                }
            }
        }
        Self(comments)
    }

    /// The leading comment of the element at a path of a file; empty if there is none.
    pub fn of(&self, file: &FileDescriptor, path: &[i32]) -> &str {
        self.0.get(&(file.name().to_owned(), path.to_vec())).map_or("", String::as_str)
    }
}

/// Joins the lines of a comment. Empty lines separate paragraphs, and list items keep their own lines.
fn paragraphs(comment: &str) -> String {
    let mut text = String::new();
    for line in comment.lines().map(str::trim) {
        if line.is_empty() {
            if !text.is_empty() && !text.ends_with("\n\n") {
                text.push_str("\n\n");
            }
            continue;
        }
        if line.starts_with("- ") && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        } else if !text.is_empty() && !text.ends_with('\n') {
            text.push(' ');
        }
        text.push_str(line);
    }
    text.trim_end().to_owned()
}

/// Splits off the first sentence, without its full stop.
pub fn first_sentence(text: &str) -> (&str, &str) {
    let ends = |(at, _): &(usize, &str)| {
        let rest = &text[at + 1..];
        let next = rest.trim_start();
        let continues = next.starts_with(|c: char| c.is_lowercase());
        rest.is_empty() || (rest.starts_with(char::is_whitespace) && !continues)
    };
    match text.match_indices('.').find(ends) {
        Some((at, _)) => (&text[..at], text[at + 1..].trim()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_paragraphs_kept() {
        assert_eq!(paragraphs(" One\n two.\n\n Three:\n - a\n - b\n"), "One two.\n\nThree:\n- a\n- b");
        assert_eq!(paragraphs("\n"), "");
    }

    #[test]
    fn the_first_sentence_is_split_off() {
        assert_eq!(first_sentence("Lists a.b things. Fails. Often."), ("Lists a.b things", "Fails. Often."));
        assert_eq!(first_sentence("Reads, e.g. names, all."), ("Reads, e.g. names, all", ""));
        assert_eq!(first_sentence("No stop"), ("No stop", ""));
    }
}
