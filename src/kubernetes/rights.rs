//! What the emulator may do in a real cluster, by the cluster's own word.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::{Access, Failure, RealCluster};

impl RealCluster {
    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The kubeconfig, as it is named; none for the cluster that the emulator runs in.
    pub fn kubeconfig(&self) -> Option<String> {
        let path = self.access.absolute_path()?;
        Some(path.display().to_string())
    }

    /// Whether the emulator may do this (`get`, `patch`, `list`) with a group's resource in a
    /// namespace.
    pub async fn may(
        &self,
        verb: &str,
        (group, resource): (&str, &str),
        namespace: &str,
    ) -> Result<bool, Failure> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    resource: Some(resource.to_owned()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let review = &review;
        let reviewed = self.send(|client| async move {
            let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
            reviews.create(&PostParams::default(), review).await
        });
        let reviewed = reviewed.await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }
}
