//! Streams, long lists, raw bytes, entity tags, deadlines and compression, against the services of flow.proto.

mod bytes;
mod compression;
mod deadlines;
mod details;
mod etags;
mod fixture;
mod handlers;
mod headers;
mod pages;
mod streams;
