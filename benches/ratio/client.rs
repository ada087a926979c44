//! A client that costs little: HTTP/1.1 by hand, one request at a time on each connection.

use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// The body of the API reference's example. All names have the same length, see [`Request::name`].
const BODY: &str = r#"{
  "action": "update",
  "app_type": "deployments",
  "application": "adsfa",
  "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5",
  "cluster_name": "test",
  "cluster_ns": "default",
  "condition": ".*",
  "container": "",
  "enable": "true",
  "name": "c00000000",
  "trigger_mode": "cce",
  "trigger_type": "all"
}"#;
/// What stands where a trigger's name belongs.
const NAME: &str = "c00000000";
/// What stands where the name of one of many repositories belongs.
pub(crate) const ONE_OF_MANY: &str = "r000";

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the digits of the trigger's name are.
    name: Range<usize>,
    /// Where those of the repository's name are.
    repository: Range<usize>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: swr-emulator\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        // Without such a name there are no digits to write.
        let digits = |name: &str| match text.find(name) {
            Some(start) => start + 1..start + name.len(),
            None => 0..0,
        };
        Self {
            name: digits(NAME),
            repository: digits(ONE_OF_MANY),
            bytes: text.into_bytes(),
        }
    }

    pub(crate) fn create(path: &str) -> Self {
        Self::new("POST", path, BODY)
    }

    pub(crate) fn show(path: &str) -> Self {
        Self::new("GET", &format!("{path}/{NAME}"), "")
    }

    pub(crate) fn list(path: &str) -> Self {
        Self::new("GET", path, "")
    }

    /// Puts the trigger with this number into the request.
    pub(crate) fn name(&mut self, number: u32) {
        write_digits(&mut self.bytes[self.name.clone()], number);
    }

    /// Puts this one of many repositories into the request.
    pub(crate) fn repository(&mut self, number: u32) {
        write_digits(&mut self.bytes[self.repository.clone()], number);
    }
}

fn write_digits(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
    }
}

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Sends a request; the body of its answer, which must be a success.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<&[u8]> {
        self.stream.write_all(&request.bytes).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the connection ended inside an answer".into());
            }
            filled += read;
            let Some(head) = Head::read(&self.buffer[..filled])? else {
                continue;
            };
            let end = head.length + head.body;
            if end > self.buffer.len() {
                return Err("an answer is too large for the client".into());
            }
            while filled < end {
                let read = self.stream.read(&mut self.buffer[filled..]).await?;
                if read == 0 {
                    return Err("the connection ended inside a body".into());
                }
                filled += read;
            }
            let answer = &self.buffer[..end];
            if filled > end {
                return Err("more came than one answer".into());
            }
            if !head.success {
                return Err(String::from_utf8_lossy(answer).into());
            }
            return Ok(&answer[head.length..]);
        }
    }
}

/// What the client has to know of an answer.
struct Head {
    success: bool,
    /// The head's own length.
    length: usize,
    /// The length of the body.
    body: usize,
}

impl Head {
    /// Reads a head that is there to its end.
    fn read(bytes: &[u8]) -> Result<Option<Self>> {
        const LENGTH: &[u8] = b"content-length:";
        let mut at = 0;
        let mut body = None;
        while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[at..at + length];
            at += length + 1;
            if line.len() <= 1 {
                let success = bytes.starts_with(b"HTTP/1.1 2");
                let empty = bytes.starts_with(b"HTTP/1.1 204");
                let body = if empty { Some(0) } else { body };
                let body = body.ok_or("an answer without a content-length")?;
                return Ok(Some(Self {
                    success,
                    length: at,
                    body,
                }));
            }
            if line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
                let value = std::str::from_utf8(&line[LENGTH.len()..])?;
                body = Some(value.trim().parse()?);
            }
        }
        Ok(None)
    }
}
