//! A client that reads lists over HTTP/1.1.

#![allow(dead_code, missing_docs, reason = "each benchmark uses its own part")]

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

pub struct ListClient {
    pub address: SocketAddr,
    pub token: String,
}

impl ListClient {
    /// Sends a request, and reads the head of its response.
    pub fn ask(&self, path: &str, headers: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        let headers = format!("authorization: Bearer {}\r\nconnection: close\r\n{headers}", self.token);
        stream.write_all(&super::request("GET", path, &headers, "")).expect("a request");
        let mut stream = BufReader::with_capacity(64 << 10, stream);
        let mut line = String::new();
        stream.read_line(&mut line).expect("a status");
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).expect("a header");
        }
        stream
    }

    /// Reads a list in its chunks.
    pub fn chunks(&self, path: &str, mut each: impl FnMut(&[u8])) {
        let mut stream = self.ask(path, "");
        let (mut chunk, mut line) = (Vec::new(), String::new());
        loop {
            line.clear();
            stream.read_line(&mut line).expect("a length");
            let length = usize::from_str_radix(line.trim(), 16).expect("the list is not whole");
            if length == 0 {
                return;
            }
            chunk.resize(length, 0);
            stream.read_exact(&mut chunk).expect("a chunk");
            stream.read_line(&mut line).expect("its end");
            each(&chunk);
        }
    }
}
