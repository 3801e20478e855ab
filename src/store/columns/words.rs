//! Enumerations that are stored as words.

/// Declares an enumeration with a word for each value, and makes it a text column.
macro_rules! words {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$each])* $variant,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::base::Error;

            fn from_str(word: &str) -> $crate::base::Result<Self> {
                let found = Self::ALL.iter().copied().find(|value| value.as_str() == word);
                let unknown = || $crate::base::Error::internal(format!("unknown {} {word:?}", stringify!($name)));
                found.ok_or_else(unknown)
            }
        }

        $crate::store::columns::text::text_column!($name, $name::as_str);
    };
}

pub(super) use words;
