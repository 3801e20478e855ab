//! Writing messages as JSON: the one generic writer behind the generated code.

use std::{collections::BTreeMap, ops::Range};

use super::{
    escape,
    habits::{Habits, Names},
    kind::Kind,
    message::{Field, Message},
};

/// A JSON text in the making.
#[derive(Debug)]
pub struct Writer<'h> {
    /// The habits of the surface.
    pub habits: &'h Habits,
    out: Vec<u8>,
    depth: u16,
    unprintable: Option<Unprintable>,
}

/// A value that JSON has no form for, such as a timestamp of the year 10000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprintable(pub String);

impl std::fmt::Display for Unprintable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unprintable {}

impl<'h> Writer<'h> {
    /// An empty text.
    pub fn new(habits: &'h Habits) -> Self {
        Self { habits, out: Vec::new(), depth: 0, unprintable: None }
    }

    /// An empty text with room for so many bytes.
    pub fn with_capacity(habits: &'h Habits, bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), ..Self::new(habits) }
    }

    /// The text, unless a value had no form.
    pub fn finish(self) -> Result<Vec<u8>, Unprintable> {
        self.unprintable.map_or(Ok(self.out), Err)
    }

    /// Notes that a value has no form.
    pub(super) fn unprintable(&mut self, why: impl Into<String>) {
        self.unprintable.get_or_insert_with(|| Unprintable(why.into()));
    }

    /// Writes a text as it is.
    pub(crate) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes ASCII as it is.
    pub(super) fn raw_bytes(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Writes a string, quoted and escaped.
    pub(super) fn string(&mut self, text: &str) {
        escape::string(&mut self.out, text);
    }

    /// Writes an integer of up to 32 bits.
    pub(super) fn integer(&mut self, value: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Writes a 64-bit integer, as a string or a number.
    pub(super) fn long(&mut self, value: impl itoa::Integer) {
        if self.habits.int64_as_number {
            self.integer(value);
        } else {
            self.out.push(b'"');
            self.integer(value);
            self.out.push(b'"');
        }
    }

    /// Writes a finite float in its shortest form.
    pub(super) fn number(&mut self, value: &impl serde::Serialize) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.out, value);
    }

    /// Writes a message.
    pub fn message<M: Message>(&mut self, message: &M) {
        self.out.push(b'{');
        self.members(message, State::First);
        self.out.push(b'}');
    }

    /// Writes the members of a message after another member.
    pub(super) fn more_members<M: Message>(&mut self, message: &M) {
        self.members(message, State::Later);
    }

    fn members<M: Message>(&mut self, message: &M, state: State) {
        self.some_members(message, 0..M::FIELDS.len(), state);
    }

    fn some_members<M: Message>(&mut self, message: &M, fields: Range<usize>, state: State) {
        let mut members = Members { writer: self, state };
        for field in fields {
            message.write(field, &mut members);
        }
    }

    /// Writes a message up to the last item of one of its lists, which has items and is left open.
    pub(crate) fn opened<M: Message>(&mut self, message: &M, list: usize) {
        self.out.push(b'{');
        self.some_members(message, 0..list + 1, State::First);
        self.out.pop();
    }

    /// Writes the items of a list alone, without its brackets.
    pub(crate) fn items_of<M: Message>(&mut self, message: &M, list: usize) {
        let start = self.out.len();
        message.write(list, &mut Members { writer: self, state: State::Bare });
        // An empty list may be left out.
        if self.out.len() > start {
            self.out.remove(start);
            self.out.pop();
        }
    }

    /// Writes what follows the last item of a list of a message.
    pub(crate) fn closed<M: Message>(&mut self, message: &M, list: usize) {
        self.out.push(b']');
        self.some_members(message, list + 1..M::FIELDS.len(), State::Later);
        self.out.push(b'}');
    }

    /// Writes something that may nest in itself without end.
    pub(super) fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        if self.depth > self.habits.max_depth {
            self.unprintable(format!("values nested deeper than {} levels", self.habits.max_depth));
        } else {
            write(self);
        }
        self.depth -= 1;
    }

    /// Writes the value of one field alone. An unset message or optional field is null.
    pub fn field<M: Message>(&mut self, message: &M, field: usize) {
        let start = self.out.len();
        message.write(field, &mut Members { writer: self, state: State::Bare });
        if self.out.len() == start {
            self.raw("null");
        }
    }

    /// Writes the items of a list.
    pub(super) fn items<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(T, &mut Self)) {
        self.out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(item, self);
        }
        self.out.push(b']');
    }

    /// Writes the entries of an object with keys of any text.
    pub(super) fn entries<K: AsRef<str>, T>(
        &mut self,
        entries: impl IntoIterator<Item = (K, T)>,
        mut write: impl FnMut(T, &mut Self),
    ) {
        self.out.push(b'{');
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.string(key.as_ref());
            self.out.push(b':');
            write(value, self);
        }
        self.out.push(b'}');
    }

    /// The text that a value gives when it is written alone, without quotes: a map's key.
    fn key_of<K: Kind>(&self, key: &K::Rust) -> String {
        let mut writer = Writer::new(self.habits);
        K::write(key, &mut writer);
        let text = String::from_utf8(writer.out).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(text)
    }
}

/// The members of an object, or the value of one member alone.
#[derive(Debug)]
pub struct Members<'w, 'h> {
    writer: &'w mut Writer<'h>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No member has been written.
    First,
    /// A comma goes before the next member.
    Later,
    /// The value is written without key, whatever it is.
    Bare,
}

impl Members<'_, '_> {
    /// The key of a member, with the comma before it.
    fn key(&mut self, field: &Field) {
        match self.state {
            State::First => self.state = State::Later,
            State::Later => self.writer.out.push(b','),
            State::Bare => return,
        }
        self.writer.raw(match self.writer.habits.names {
            Names::Json => field.json_key,
            Names::Proto => field.proto_key,
        });
    }

    /// Whether a member with its default is left out.
    fn leaves_out(&self) -> bool {
        !self.writer.habits.print_defaults && self.state != State::Bare
    }

    /// A field without presence.
    pub fn one<K: Kind>(&mut self, field: &'static Field, value: &K::Rust) {
        if !(K::is_default(value) && self.leaves_out()) {
            self.set::<K>(field, value);
        }
    }

    /// A field with presence.
    pub fn optional<K: Kind>(&mut self, field: &'static Field, value: Option<&K::Rust>) {
        match value {
            Some(value) => self.set::<K>(field, value),
            None if self.writer.habits.unset_as_null && !K::NULL_IS_A_VALUE && self.state != State::Bare => {
                self.key(field);
                self.writer.raw("null");
            }
            None => {}
        }
    }

    /// A field that is set.
    pub fn set<K: Kind>(&mut self, field: &'static Field, value: &K::Rust) {
        self.key(field);
        K::write(value, self.writer);
    }

    /// A repeated field.
    pub fn list<K: Kind>(&mut self, field: &'static Field, items: &[K::Rust]) {
        if !(items.is_empty() && self.leaves_out()) {
            self.key(field);
            self.writer.items(items, |item, writer| K::write(item, writer));
        }
    }

    /// A map.
    pub fn map<KK: Kind, VK: Kind>(&mut self, field: &'static Field, map: &BTreeMap<KK::Rust, VK::Rust>) {
        if !(map.is_empty() && self.leaves_out()) {
            self.key(field);
            let entries: Vec<_> = map.iter().map(|(key, value)| (self.writer.key_of::<KK>(key), value)).collect();
            self.writer.entries(entries, |value, writer| VK::write(value, writer));
        }
    }
}
