//! One operation of the emulator, and the table of all of them from which the router is made.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;
use percent_encoding::percent_decode_str;

use super::description::OperationDoc;
use super::error_format::ErrorFormat;

/// Where the emulator's own operations are, which SWR does not have.
pub const OWN_PATHS: &str = "/_emulator/";
/// The largest body that an operation reads unless it says otherwise, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// How long a request may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// How long one may take that waits for something, or moves much: ten minutes, and time to answer.
const LONGEST_WAIT: Duration = Duration::from_secs(610);

/// An operation: a method on a path, and what the shared layers have to know of it.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told of by itself, and asked for by another layer"
)]
pub struct Operation {
    /// The API reference's name.
    pub name: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path, with its variables in braces.
    pub path: &'static str,
    /// How its errors are written.
    pub form: ErrorFormat,
    /// Whether the caller has to say who they are.
    pub needs_credentials: bool,
    /// The error code when the database or the disk fails (API reference, error codes).
    pub failure: &'static str,
    /// How long a request may take, its body included.
    pub deadline: Duration,
    /// Whether it waits for something that other requests bring about.
    pub waits: bool,
    /// Whether it lets all others end, and none begin, before it changes everything.
    pub is_alone: bool,
    /// The largest body that it reads, in bytes.
    pub max_body: usize,
    /// Whether it reads its body by itself, piece by piece.
    pub streams: bool,
    /// The chapter that it stands in.
    pub chapter: &'static str,
    /// Tells the document of the API the rest.
    pub doc: Doc,
    /// Whether `/_emulator/requests` tells of it.
    pub is_recorded: bool,
    /// Whether that record may have its body, which holds no secrets.
    pub records_body: bool,
    /// See [`Self::parameters`].
    parameters: OnceLock<Vec<&'static str>>,
}

impl Operation {
    /// An operation of the management API that needs credentials. What fails in it is by its
    /// method: to create (POST), update (PATCH), delete (DELETE) or read (GET).
    pub fn new(name: &'static str, method: Method, path: &'static str) -> Self {
        let failure = match method {
            Method::POST => "SVCSTG.SWR.5000046",
            Method::PATCH => "SVCSTG.SWR.5000011",
            Method::DELETE => "SVCSTG.SWR.5000005",
            _ => "SVCSTG.SWR.5000007",
        };
        Self {
            name,
            method,
            path,
            form: ErrorFormat::Management,
            needs_credentials: true,
            failure,
            deadline: DEADLINE,
            waits: false,
            is_alone: false,
            max_body: MAX_BODY,
            streams: false,
            chapter: "",
            doc: || OperationDoc::new(""),
            is_recorded: true,
            records_body: false,
            parameters: OnceLock::new(),
        }
    }

    /// The operation reads a list.
    #[must_use]
    pub fn lists(mut self) -> Self {
        self.failure = "SVCSTG.SWR.5000008";
        self
    }

    /// The operation waits for something, for as long as its caller says.
    #[must_use]
    pub fn waits(mut self) -> Self {
        self.deadline = LONGEST_WAIT;
        self.waits = true;
        self
    }

    /// The operation lets all others end, and none begin, before it changes everything.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// The operation reads a body of so many bytes.
    #[must_use]
    pub fn with_body_up_to(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The operation takes or makes something large: it may take minutes, and reads its body by itself,
    /// piece by piece. A signature cannot cover a body that nobody holds as a whole.
    #[must_use]
    pub fn streams(mut self) -> Self {
        self.deadline = LONGEST_WAIT;
        self.streams = true;
        self
    }

    /// The operation is not one of the requests that people look at.
    #[must_use]
    pub fn unrecorded(mut self) -> Self {
        self.is_recorded = false;
        self
    }

    /// The operation's errors are written in another form.
    #[must_use]
    pub fn in_form(mut self, form: ErrorFormat) -> Self {
        self.form = form;
        if form == ErrorFormat::Registry {
            self.failure = "UNKNOWN";
        }
        self
    }

    /// The operation may be called by anyone.
    #[must_use]
    pub fn open_to_all(mut self) -> Self {
        self.needs_credentials = false;
        self
    }

    /// Whether it is one of the emulator itself, which the cloud does not have.
    pub fn is_own(&self) -> bool {
        self.path.starts_with(OWN_PATHS)
    }

    /// The names of the query parameters that it knows.
    pub fn parameters(&self) -> &[&'static str] {
        self.parameters.get_or_init(|| {
            let query = (self.doc)().query.into_iter();
            query.map(|param| param.name).collect()
        })
    }

    /// Whether a request's path is this one, with something for each variable.
    pub fn has_path(&self, path: &str) -> bool {
        let mut given = path.split('/');
        let fits = self.path.split('/').all(|segment| {
            let is_variable = segment.starts_with('{');
            given
                .next()
                .is_some_and(|given| segment == given || (is_variable && !given.is_empty()))
        });
        fits && given.next().is_none()
    }

    /// Whether the path has this variable.
    pub fn has_variable(&self, name: &str) -> bool {
        self.path
            .split('/')
            .any(|segment| is_variable(segment, name))
    }

    /// What a request's path has in the place of a variable, decoded.
    pub fn variable<'a>(&self, path: &'a str, name: &str) -> Option<Cow<'a, str>> {
        let mut segments = self.path.split('/').zip(path.split('/'));
        let (_, value) = segments.find(|(segment, _)| is_variable(segment, name))?;
        percent_decode_str(value).decode_utf8().ok()
    }
}

fn is_variable(segment: &str, name: &str) -> bool {
    let variable = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
    variable == Some(name)
}

/// Tells what the document of the API has of an operation; runs when somebody asks for it.
pub type Doc = fn() -> OperationDoc;

/// [`Routes::route`] for a method, so that a chapter's table has one short line an operation.
macro_rules! shorthand {
    ($about:literal, $name:ident, $method:ident $(, $kind:ident)?) => {
        #[doc = $about]
        #[must_use]
        pub fn $name<H, T>(
            self,
            name: &'static str,
            path: &'static str,
            handler: H,
            doc: Doc,
        ) -> Self
        where
            H: Handler<T, S>,
            T: 'static,
        {
            let operation = Operation::new(name, Method::$method, path)$(.$kind())?;
            self.route(operation, handler, doc)
        }
    };
}

/// Operations and their handlers, in the API reference's order.
#[derive(Debug, Clone)]
pub struct Routes<S> {
    /// The chapter of those that are added.
    chapter: &'static str,
    operations: Vec<Operation>,
    /// What each operation leads to, in the same order.
    endpoints: Vec<MethodRouter<S>>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No operation yet; those that are added stand in this chapter.
    pub fn of(chapter: &'static str) -> Self {
        Self {
            chapter,
            operations: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    /// Adds an operation with its handler and what the document of the API tells of it.
    #[must_use]
    pub fn route<H, T>(mut self, mut operation: Operation, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = match operation.method {
            Method::POST => MethodFilter::POST,
            Method::PATCH => MethodFilter::PATCH,
            Method::DELETE => MethodFilter::DELETE,
            Method::PUT => MethodFilter::PUT,
            _ => MethodFilter::GET,
        };
        self.endpoints.push(MethodRouter::new().on(filter, handler));
        operation.chapter = self.chapter;
        operation.doc = doc;
        self.operations.push(operation);
        self
    }

    shorthand!("Adds an operation that reads one thing.", get, GET);
    shorthand!("Adds one that anyone may call.", open_get, GET, open_to_all);
    shorthand!("Adds an operation that reads a list.", list, GET, lists);
    shorthand!("Adds an operation that creates, or acts.", post, POST);
    shorthand!("Adds an operation that changes some fields.", patch, PATCH);
    shorthand!("Adds an operation that replaces.", put, PUT);
    shorthand!("Adds an operation that deletes.", delete, DELETE);

    /// The bodies of the operation that was added last hold no secrets: `/_emulator/requests` may
    /// tell them.
    #[must_use]
    pub fn with_recorded_body(mut self) -> Self {
        if let Some(operation) = self.operations.last_mut() {
            operation.records_body = true;
        }
        self
    }

    /// Adds all operations of another table.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.endpoints.extend(other.endpoints);
        self
    }

    /// All operations, in the order in which they were added.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations, and a router that leads to their handlers and no further. It is made in one
    /// go: one that is merged from others, or added to a method at a time, is copied over and over.
    pub fn into_parts(self) -> (Vec<Operation>, Router<S>) {
        let mut by_path = BTreeMap::new();
        for (operation, endpoint) in self.operations.iter().zip(self.endpoints) {
            match by_path.entry(operation.path) {
                Entry::Vacant(entry) => {
                    entry.insert(endpoint);
                }
                Entry::Occupied(mut entry) => {
                    let methods: &mut MethodRouter<S> = entry.get_mut();
                    *methods = std::mem::take(methods).merge(endpoint);
                }
            }
        }
        let paths = by_path.into_iter();
        let router = paths.fold(Router::new(), |router, (path, methods)| {
            router.route(path, methods)
        });
        (self.operations, router)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn tables_that_share_a_path_lead_to_the_handlers_of_both() {
        let doc: Doc = || OperationDoc::new("");
        let one = Routes::<()>::of("one").get("Get", "/x", async || "one", doc);
        let two = Routes::of("two")
            .post("Post", "/x", async || "two", doc)
            .delete("Delete", "/x/{y}", async || "three", doc);

        let (operations, router) = one.and(two).into_parts();

        let names = operations.iter().map(|one| (one.chapter, one.name));
        let expected = [("one", "Get"), ("two", "Post"), ("two", "Delete")];
        assert_eq!(names.collect::<Vec<_>>(), expected);
        let router: Router = router.with_state(());
        let check = async |method: &str, path: &str, status: u16, expected: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(Body::empty()).expect("a request");
            let Ok(response) = router.clone().oneshot(request).await;
            assert_eq!(response.status(), status, "{method} {path}");
            let body = to_bytes(response.into_body(), 100).await.expect("a body");
            assert_eq!(body, expected, "{method} {path}");
        };
        check("GET", "/x", 200, "one").await;
        check("POST", "/x", 200, "two").await;
        check("DELETE", "/x/y", 200, "three").await;
        check("DELETE", "/x", 405, "").await;
    }
}
