//! Requests to an emulator, wherever it runs, and its answers.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Sends requests to an emulator, each over a connection of its own.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) token: Option<String>,
}

impl Client {
    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(body.into()).expect("a legal request");
        self.request(request).await
    }

    /// Sends a request as it is, but for the token and the host.
    pub(crate) async fn request(&self, request: Request<Bytes>) -> Answer {
        let mut connection = self.connect().await;
        self.request_on(&mut connection, request)
            .await
            .expect("an answer")
    }

    /// A connection to send several requests on.
    pub(crate) async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address)
            .await
            .expect("a connection");
        stream.set_nodelay(true).expect("an open socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a fresh connection");
        tokio::spawn(connection);
        sender
    }

    /// Sends a request on a connection; none when it breaks before the whole answer is there.
    pub(crate) async fn request_on(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        request: Request<Bytes>,
    ) -> Option<Answer> {
        let mut request = request.map(Full::new);
        let headers = request.headers_mut();
        headers.insert("Host", self.address.parse().expect("a header value"));
        if let Some(token) = &self.token {
            headers.insert("X-Auth-Token", token.parse().expect("a header value"));
        }
        let response = connection.send_request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
    }

    /// Asserts on status and body, and gives the answer back.
    #[track_caller]
    pub(crate) fn is(self, status: u16, body: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.text()), (status, body));
        self
    }

    /// Asserts that SWR refused in its own form, and gives the message back.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        let code = format!("SVCSTG.SWR.{code}");
        let message = body["error_msg"].as_str().expect("a message").to_owned();
        let mut expected = json!({
            "errors": [{"errorCode": code, "errorMessage": message, "detail": ""}],
            "error_code": code,
            "error_msg": message,
            "details": [{"error_code": code, "error_msg": message}],
        });
        if status == 403 {
            const ENCODED: &str = "encoded_authorization_message";
            let encoded = body[ENCODED].clone();
            assert!(encoded.is_string(), "{body}");
            expected["errors"][0][ENCODED] = encoded.clone();
            expected[ENCODED] = encoded;
        }
        assert_eq!(body, expected);
        message
    }

    /// Asserts that the gateway refused in its form, and gives the message back.
    #[track_caller]
    pub(crate) fn refused_by_gateway(self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let id = self
            .header("x-request-id")
            .expect("a request id")
            .to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id}"
        );
        let body = self.json();
        let message = body["error_msg"].as_str().expect("a message").to_owned();
        assert_eq!(
            body,
            json!({"error_msg": message, "error_code": code, "request_id": id})
        );
        message
    }
}
