//! CCE clusters: the ones that the seed file names, as far as Terraform asks CCE for them.
//!
//! `api` is their HTTP, `store` their SQL.

mod api;
pub mod store;

pub use api::routes;

/// A cluster by id and name.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Cluster {
    pub id: String,
    pub name: String,
}
