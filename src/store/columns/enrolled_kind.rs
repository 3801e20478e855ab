//! A column with what a credential is for.

use super::text::text_column;
use crate::base::EnrolledKind;

text_column!(EnrolledKind, EnrolledKind::as_str);
