//! Roles as columns.

use super::text::text_column;
use crate::base::Role;

text_column!(Role, Role::as_str);
