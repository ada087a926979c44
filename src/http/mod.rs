//! What every chapter's HTTP shares: operations and their routes, the edge that wraps each of
//! them, bodies in, answers out, and the server. No rule of a single chapter lives here.

mod answer;
mod body;
mod connections;
mod description;
mod edge;
mod form;
mod gathered_body;
mod hosts;
mod lingering;
mod log;
mod operation;
mod pace;
mod path;
mod query;
mod server;
mod shape;
mod shared_body;
mod stop;

pub use answer::{Answer, ContentRange, EmptyList, NextPage, cut_to_page, empty_object, json};
pub use body::{Fields, Items};
pub use description::{OperationDoc, Param, Refusal, Success, Writer};
pub(crate) use edge::MAX_BODY;
pub use form::Form;
pub(crate) use form::{MAX_MESSAGE, RETRY_SOON};
pub use gathered_body::{BodyBudget, Incomplete, Limits, gather};
pub use hosts::AllowedHosts;
pub use log::{Failure, FieldsForPeople, RequestIds, RequestLog};
pub(crate) use operation::OWN_PATHS;
pub use operation::{Operation, Routes};
pub use pace::Pace;
pub use path::{Path, Segment};
pub use query::{Criteria, Page, Query, SortOrder};
pub use server::{Cut, Server};
pub use shape::Shape;
pub use shared_body::SharedBody;
pub use stop::Stop;
