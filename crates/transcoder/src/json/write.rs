//! Writes messages as JSON: the generic writer behind the generated code.

use std::{collections::BTreeMap, ops::Range};

use super::{
    escape,
    kind::Kind,
    message::{Field, Message},
    options::{JsonOptions, Names},
};

/// A JSON text that is being written.
#[derive(Debug)]
pub struct Writer<'h> {
    /// The options of the surface.
    pub options: &'h JsonOptions,
    out: Vec<u8>,
    depth: u16,
    unprintable: Option<EncodeError>,
}

/// A value without a JSON form, such as a timestamp in the year 10000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(pub String);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodeError {}

impl<'h> Writer<'h> {
    /// An empty writer.
    pub fn new(options: &'h JsonOptions) -> Self {
        Self { options, out: Vec::new(), depth: 0, unprintable: None }
    }

    /// An empty writer with a capacity in bytes.
    pub fn with_capacity(options: &'h JsonOptions, bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), ..Self::new(options) }
    }

    /// The text, or the first value without a JSON form.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        self.unprintable.map_or(Ok(self.out), Err)
    }

    /// Records a value without a JSON form.
    pub(super) fn unprintable(&mut self, why: impl Into<String>) {
        self.unprintable.get_or_insert_with(|| EncodeError(why.into()));
    }

    /// Writes a text without escaping.
    pub(crate) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes ASCII without escaping.
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
        if self.options.int64_as_number {
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

    /// Writes the members of a message after other members.
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

    /// Writes a message up to the last item of one of its lists, which is not empty and is left open.
    pub(crate) fn opened<M: Message>(&mut self, message: &M, list: usize) {
        self.out.push(b'{');
        self.some_members(message, 0..list + 1, State::First);
        self.out.pop();
    }

    /// Writes the items of a list without its brackets.
    pub(crate) fn items_of<M: Message>(&mut self, message: &M, list: usize) {
        let start = self.out.len();
        message.write(list, &mut Members { writer: self, state: State::Bare });
        // An empty list may be omitted.
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

    /// Writes something that may be nested without limit.
    pub(super) fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        if self.depth > self.options.max_depth {
            self.unprintable(format!("values nested deeper than {} levels", self.options.max_depth));
        } else {
            write(self);
        }
        self.depth -= 1;
    }

    /// Writes only the value of one field. An unset message or optional field is null.
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

    /// Writes the entries of an object with arbitrary keys.
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

    /// The text of a value without quotes: a map key.
    fn key_of<K: Kind>(&self, key: &K::Rust) -> String {
        let mut writer = Writer::new(self.options);
        K::write(key, &mut writer);
        let text = String::from_utf8(writer.out).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(text)
    }
}

/// The members of an object, or only the value of one member.
#[derive(Debug)]
pub struct Members<'w, 'h> {
    writer: &'w mut Writer<'h>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No member has been written.
    First,
    /// A comma precedes the next member.
    Later,
    /// The value is written without its key, even if it is the default.
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
        self.writer.raw(match self.writer.options.names {
            Names::Json => field.json_key,
            Names::Proto => field.proto_key,
        });
    }

    /// Whether a member with its default is omitted.
    fn leaves_out(&self) -> bool {
        !self.writer.options.print_defaults && self.state != State::Bare
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
            None if self.writer.options.unset_as_null && !K::NULL_IS_A_VALUE && self.state != State::Bare => {
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
