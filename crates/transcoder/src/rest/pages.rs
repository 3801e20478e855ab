//! An answer whose list is longer than the message: it is sent page after page, each read when the one before is taken.
//!
//! The first page is there before the head of the answer is sent, so what fails at once has its status. After that JSON has
//! no place for a failure, and the answer is broken off.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use tonic::Status;

use super::{
    content::{Content, refused, unprintable},
    payload::{JSON, ROOM},
    rule::Rule,
    stream::Item,
};
use crate::{
    failure::Failure,
    json::{Habits, Message, Unprintable, Writer},
    pages::{self, Pages},
};

/// The list of an answer that may come in pages, and how they are written. Generated.
#[derive(Debug)]
pub struct Paged<Res> {
    list: usize,
    write: fn(&Res, Part) -> Result<Vec<u8>, Unprintable>,
}

impl<Res> Clone for Paged<Res> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Res> Copy for Paged<Res> {}

/// What is to be written of a page.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Index of the list.
    list: usize,
    /// The list is the whole answer, not a member of it.
    bare: bool,
    place: Place,
    habits: &'static Habits,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// All up to the last item of the first page, which has items.
    Begin,
    /// The items alone.
    Middle,
    /// What follows the items of the last page.
    End,
}

impl<Res: Message> Paged<Res> {
    /// The list that is the field of an index.
    pub const fn new(list: usize) -> Self {
        Self { list, write: write::<Res> }
    }
}

fn write<M: Message>(message: &M, part: Part) -> Result<Vec<u8>, Unprintable> {
    let Part { list, bare, place, habits } = part;
    let mut writer = Writer::with_capacity(habits, ROOM);
    match (place, bare) {
        (Place::Begin, false) => writer.opened(message, list),
        (Place::Begin, true) => {
            writer.raw("[");
            writer.items_of(message, list);
        }
        (Place::Middle, _) => writer.items_of(message, list),
        (Place::End, false) => writer.closed(message, list),
        (Place::End, true) => writer.raw("]"),
    }
    writer.finish()
}

/// An answer whose list has further pages.
pub(super) enum Begun<Res> {
    /// After all, there is nothing in them.
    Whole(Res),
    /// The first page that has items, and what is sent.
    Pieces(Res, Content),
}

/// Begins an answer with its first page.
pub(super) async fn begin<Res: Send + 'static>(
    rule: &'static Rule,
    paged: Paged<Res>,
    mut message: Res,
    mut pages: Pages<Res>,
) -> Result<Begun<Res>, Box<Failure>> {
    let bare = rule.response.is_some();
    let written = move |message: &Res, place: Place| -> Result<Bytes, Box<Failure>> {
        let part = Part { list: paged.list, bare, place, habits: &rule.info.surface.habits };
        Ok((paged.write)(message, part).map_err(unprintable)?.into())
    };
    // A list is opened with an item: whether an empty one is written at all, its habits say.
    while written(&message, Place::Middle)?.is_empty() {
        match pages::next(&mut pages).await {
            Some(page) => message = page.map_err(|status| refused(rule, &status))?,
            None => return Ok(Begun::Whole(message)),
        }
    }
    let first = item(written(&message, Place::Begin)?);
    let end = written(&message, Place::End)?;
    let rest = Box::pin(Rest { pages: Some(pages), rule, written, end });
    Ok(Begun::Pieces(message, Content::Items { media_type: JSON, first: Some(first), rest }))
}

fn item(bytes: Bytes) -> Item {
    Item { bytes, id: None, kind: None }
}

/// The pages after the first one, and the end.
struct Rest<Res, W> {
    /// `None` when all is said.
    pages: Option<Pages<Res>>,
    rule: &'static Rule,
    written: W,
    /// What follows the last item, as of the last page.
    end: Bytes,
}

impl<Res, W> Rest<Res, W>
where
    W: Fn(&Res, Place) -> Result<Bytes, Box<Failure>> + Unpin,
{
    fn page(&mut self, page: Result<Res, Status>) -> Result<Item, Box<Failure>> {
        let page = page.map_err(|status| refused(self.rule, &status))?;
        self.end = (self.written)(&page, Place::End)?;
        let items = (self.written)(&page, Place::Middle)?;
        if items.is_empty() {
            return Ok(item(items));
        }
        Ok(item([b",", &items[..]].concat().into()))
    }
}

impl<Res, W> Stream for Rest<Res, W>
where
    W: Fn(&Res, Place) -> Result<Bytes, Box<Failure>> + Unpin,
{
    type Item = Result<Item, Box<Failure>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(pages) = &mut self.pages else { return Poll::Ready(None) };
        match ready!(pages.as_mut().poll_next(cx)) {
            Some(page) => {
                let item = self.page(page);
                if item.is_err() {
                    self.pages = None;
                }
                Poll::Ready(Some(item))
            }
            None => {
                self.pages = None;
                Poll::Ready(Some(Ok(item(self.end.clone()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::Deserializer;

    use super::*;
    use crate::json::{Fault, Field, Members, Reader, scalar, text::Text};

    /// A message with a list among other members.
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Shelf {
        label: String,
        books: Vec<String>,
        total: i64,
    }

    const fn field(name: &'static str, key: &'static str) -> Field {
        Field { proto: name, json: name, proto_key: key, json_key: key, secret: false }
    }

    impl Message for Shelf {
        const NAME: &'static str = "Shelf";
        const FIELDS: &'static [Field] =
            &[field("label", "\"label\":"), field("books", "\"books\":"), field("total", "\"total\":")];

        fn field(name: &str) -> Option<usize> {
            Self::FIELDS.iter().position(|field| field.proto == name)
        }

        fn read<'de, D: Deserializer<'de>>(&mut self, _: usize, _: D, _: &mut Reader<'_>) -> Result<(), D::Error> {
            Ok(())
        }

        fn write(&self, field: usize, out: &mut Members<'_, '_>) {
            match field {
                0 => out.one::<scalar::Str>(&Self::FIELDS[0], &self.label),
                1 => out.list::<scalar::Str>(&Self::FIELDS[1], &self.books),
                _ => out.one::<scalar::Int64>(&Self::FIELDS[2], &self.total),
            }
        }

        fn bind(&mut self, _: usize, _: &mut Text<'_>) -> Result<(), Fault> {
            Ok(())
        }
    }

    fn shelf(books: &[&str]) -> Shelf {
        let books: Vec<_> = books.iter().map(|book| (*book).to_owned()).collect();
        Shelf { label: "top".to_owned(), total: books.len() as i64, books }
    }

    static LEAVES_OUT: Habits = Habits::PROTO3;
    static PRINTS: Habits = Habits { print_defaults: true, int64_as_number: true, ..Habits::PROTO3 };

    fn part(message: &Shelf, bare: bool, place: Place, habits: &'static Habits) -> String {
        let part = Part { list: 1, bare, place, habits };
        String::from_utf8((Paged::<Shelf>::new(1).write)(message, part).unwrap()).unwrap()
    }

    /// The whole, put together of a first page, a middle one and the end.
    fn together(first: &[&str], second: &[&str], bare: bool, habits: &'static Habits) -> String {
        let last = Shelf { total: (first.len() + second.len()) as i64, ..shelf(second) };
        let middle = part(&last, bare, Place::Middle, habits);
        let comma = if middle.is_empty() { "" } else { "," };
        part(&shelf(first), bare, Place::Begin, habits) + comma + &middle + &part(&last, bare, Place::End, habits)
    }

    #[test]
    fn pages_read_as_one_list_would() {
        for habits in [&LEAVES_OUT, &PRINTS] {
            for (first, second) in [(&["a"][..], &["b", "c"][..]), (&["a", "b\"]"], &["c"]), (&["a"], &[])] {
                let all = [first, second].concat();
                for (bare, field) in [(false, None), (true, Some(1))] {
                    let whole = crate::rest::json(shelf(&all), field, habits).unwrap().bytes;
                    let whole = String::from_utf8(whole.to_vec()).unwrap();
                    assert_eq!(together(first, second, bare, habits), whole);
                }
            }
        }
    }

    #[test]
    fn an_empty_list_has_no_items_in_any_habits() {
        for habits in [&LEAVES_OUT, &PRINTS] {
            assert_eq!(part(&shelf(&[]), false, Place::Middle, habits), "");
        }
        assert_eq!(part(&shelf(&["a", "b"]), true, Place::Middle, &PRINTS), r#""a","b""#);
    }
}
