//! What every chapter's HTTP shares: operations and their routes, bodies in, answers and errors
//! out. It names no chapter; what wraps a request from outside is in `edge`.

mod accept;
mod answer;
mod body;
mod cut;
mod description;
mod error_format;
mod failure;
mod file_body;
mod gathered_body;
mod operation;
mod pace;
mod path;
mod query;
mod request_id;
mod shared_body;
mod stop;

pub use accept::prefers_html;
pub use answer::{
    ContentRange, EmptyList, JsonResponse, NextPage, cut_to_page, empty_object, json,
};
pub use cut::Cut;
pub use description::{OperationDoc, Param, Refusal, Success, YAML};
pub use error_format::ErrorFormat;
pub(crate) use error_format::{RETRY_SOON, registry_error};
pub use failure::Failure;
pub use file_body::{file_body, spool};
pub use gathered_body::{BodyBudget, Incomplete, Limits, Room, gather};
pub(crate) use operation::DEADLINE;
pub use operation::{OWN_PATHS, Operation, Routes};
pub use pace::Pace;
pub(crate) use pace::PacedStream;
pub use path::{Path, Segment};
pub use query::{Query, QueryParams};
pub use request_id::RequestId;
pub use shared_body::SharedBody;
pub use stop::Stop;
