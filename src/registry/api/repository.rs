//! The repository that a request pushes to.

use super::super::access::Admitted;
use super::super::error::RegistryError;
use super::Call;
use crate::image::{ImagePath, repository_for_push};
use crate::repository::RepositoryRef;

impl Call<'_> {
    /// The repository of a request that was admitted; the first push makes it.
    pub(super) async fn existing_or_new(
        &self,
        path: &ImagePath,
        admitted: &Admitted,
    ) -> Result<RepositoryRef, RegistryError> {
        if let Ok(repository) = admitted.repository() {
            return Ok(repository.clone());
        }
        let creator = admitted.user.as_ref().ok_or(RegistryError::NameUnknown)?;
        let namespace = &admitted.namespace;
        let (app, now) = (self.app, self.app.clock.now());
        let name = &path.repository;
        Ok(repository_for_push(&app.db, &app.lookup, namespace, name, creator, now).await?)
    }
}
