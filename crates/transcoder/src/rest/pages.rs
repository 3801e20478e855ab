//! A response with a list that is longer than the message: it is sent page by page, and each page is read when the previous one was
//! sent.
//!
//! The first page is read before the head of the response is sent, so an early failure has its status. After that JSON
//! cannot contain an error, and the response is aborted.

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
    json::{EncodeError, JsonOptions, Message, Writer},
    pages::{self, Pages},
};

/// The list of a response that may have several pages, and how they are written. Generated.
#[derive(Debug)]
pub struct Paged<Res> {
    list: usize,
    write: fn(&Res, Piece) -> Result<Vec<u8>, EncodeError>,
}

impl<Res> Clone for Paged<Res> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Res> Copy for Paged<Res> {}

/// The part of a page that is written.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Index of the list.
    list: usize,
    /// The list is the whole response, not a member of it.
    bare: bool,
    position: Position,
    options: &'static JsonOptions,
}

#[derive(Clone, Copy, Debug)]
enum Position {
    /// Everything up to the last item of the first page, which is not empty.
    Begin,
    /// Only the items.
    Middle,
    /// Everything after the items of the last page.
    End,
}

impl<Res: Message> Paged<Res> {
    /// The list is the field with this index.
    pub const fn new(list: usize) -> Self {
        Self { list, write: write::<Res> }
    }
}

fn write<M: Message>(message: &M, part: Piece) -> Result<Vec<u8>, EncodeError> {
    let Piece { list, bare, position, options } = part;
    let mut writer = Writer::with_capacity(options, ROOM);
    match (position, bare) {
        (Position::Begin, false) => writer.opened(message, list),
        (Position::Begin, true) => {
            writer.raw("[");
            writer.items_of(message, list);
        }
        (Position::Middle, _) => writer.items_of(message, list),
        (Position::End, false) => writer.closed(message, list),
        (Position::End, true) => writer.raw("]"),
    }
    writer.finish()
}

/// A response whose list has more pages.
pub(super) enum FirstPage<Res> {
    /// The other pages have no items.
    Whole(Res),
    /// The first page with items, and the rest of the response.
    Pieces(Res, Content),
}

/// Starts a response with its first page.
pub(super) async fn begin<Res: Send + 'static>(
    rule: &'static Rule,
    paged: Paged<Res>,
    mut message: Res,
    mut pages: Pages<Res>,
) -> Result<FirstPage<Res>, Box<Failure>> {
    let bare = rule.response.is_some();
    let written = move |message: &Res, position: Position| -> Result<Bytes, Box<Failure>> {
        let piece = Piece { list: paged.list, bare, position, options: &rule.info.surface.json };
        Ok((paged.write)(message, piece).map_err(unprintable)?.into())
    };
    // A list is opened with an item: the JSON options decide whether an empty one is written at all.
    while written(&message, Position::Middle)?.is_empty() {
        match pages::next(&mut pages).await {
            Some(page) => message = page.map_err(|status| refused(rule, &status))?,
            None => return Ok(FirstPage::Whole(message)),
        }
    }
    let first = item(written(&message, Position::Begin)?);
    let end = written(&message, Position::End)?;
    let rest = Box::pin(Rest { pages: Some(pages), rule, written, end });
    Ok(FirstPage::Pieces(message, Content::Items { media_type: JSON, first: Some(first), rest }))
}

fn item(bytes: Bytes) -> Item {
    Item { bytes, id: None, kind: None }
}

/// The pages after the first one, and the end.
struct Rest<Res, W> {
    /// `None` at the end.
    pages: Option<Pages<Res>>,
    rule: &'static Rule,
    written: W,
    /// The text after the last item, from the last page.
    end: Bytes,
}

impl<Res, W> Rest<Res, W>
where
    W: Fn(&Res, Position) -> Result<Bytes, Box<Failure>> + Unpin,
{
    fn page(&mut self, page: Result<Res, Status>) -> Result<Item, Box<Failure>> {
        let page = page.map_err(|status| refused(self.rule, &status))?;
        self.end = (self.written)(&page, Position::End)?;
        let items = (self.written)(&page, Position::Middle)?;
        if items.is_empty() {
            return Ok(item(items));
        }
        Ok(item([b",", &items[..]].concat().into()))
    }
}

impl<Res, W> Stream for Rest<Res, W>
where
    W: Fn(&Res, Position) -> Result<Bytes, Box<Failure>> + Unpin,
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
    use crate::json::{DecodeError, Field, Members, Reader, scalar, text::Text};

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

        fn bind(&mut self, _: usize, _: &mut Text<'_>) -> Result<(), DecodeError> {
            Ok(())
        }
    }

    fn shelf(books: &[&str]) -> Shelf {
        let books: Vec<_> = books.iter().map(|book| (*book).to_owned()).collect();
        Shelf { label: "top".to_owned(), total: books.len() as i64, books }
    }

    static LEAVES_OUT: JsonOptions = JsonOptions::PROTO3;
    static PRINTS: JsonOptions = JsonOptions { print_defaults: true, int64_as_number: true, ..JsonOptions::PROTO3 };

    fn part(message: &Shelf, bare: bool, position: Position, options: &'static JsonOptions) -> String {
        let piece = Piece { list: 1, bare, position, options };
        String::from_utf8((Paged::<Shelf>::new(1).write)(message, piece).unwrap()).unwrap()
    }

    /// The complete text of a first page, a middle one and the end.
    fn together(first: &[&str], second: &[&str], bare: bool, options: &'static JsonOptions) -> String {
        let last = Shelf { total: (first.len() + second.len()) as i64, ..shelf(second) };
        let middle = part(&last, bare, Position::Middle, options);
        let comma = if middle.is_empty() { "" } else { "," };
        part(&shelf(first), bare, Position::Begin, options)
            + comma
            + &middle
            + &part(&last, bare, Position::End, options)
    }

    #[test]
    fn pages_read_as_one_list_would() {
        for options in [&LEAVES_OUT, &PRINTS] {
            for (first, second) in [(&["a"][..], &["b", "c"][..]), (&["a", "b\"]"], &["c"]), (&["a"], &[])] {
                let all = [first, second].concat();
                for (bare, field) in [(false, None), (true, Some(1))] {
                    let whole = crate::rest::json(shelf(&all), field, options).unwrap().bytes;
                    let whole = String::from_utf8(whole.to_vec()).unwrap();
                    assert_eq!(together(first, second, bare, options), whole);
                }
            }
        }
    }

    #[test]
    fn an_empty_list_has_no_items_with_any_options() {
        for options in [&LEAVES_OUT, &PRINTS] {
            assert_eq!(part(&shelf(&[]), false, Position::Middle, options), "");
        }
        assert_eq!(part(&shelf(&["a", "b"]), true, Position::Middle, &PRINTS), r#""a","b""#);
    }
}
