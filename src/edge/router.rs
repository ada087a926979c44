//! Which requests of a listener are the registry's, and which the management API's.

use axum::extract::Request;
use axum::response::Response;

use super::management::{self, Edge};
use super::registry;

impl Edge {
    /// The answer to a request.
    pub async fn serve(&self, request: Request) -> Response {
        if is_of_the_registry(request.uri().path()) {
            registry::serve(&self.app, request).await
        } else {
            management::serve(self, request).await
        }
    }
}

/// What is below the management API's path is not the registry's, also where no operation has it.
fn is_of_the_registry(path: &str) -> bool {
    path.strip_prefix("/v2/")
        .is_some_and(|rest| rest != "manage" && !rest.starts_with("manage/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_has_what_is_below_v2_but_for_the_management_api() {
        for path in [
            "/v2/",
            "/v2/_catalog",
            "/v2/managed/app/tags/list",
            "/v2//x",
        ] {
            assert!(is_of_the_registry(path), "{path}");
        }
        for path in [
            "/v2",
            "/v2/manage",
            "/v2/manage/",
            "/v2/manage/x",
            "/",
            "/v22/x",
        ] {
            assert!(!is_of_the_registry(path), "{path}");
        }
        for operation in crate::emulator::routes().operations() {
            assert!(!is_of_the_registry(operation.path), "{}", operation.path);
        }
    }
}
