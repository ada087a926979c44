//! What the emulator may do in a real cluster, by the cluster's own word.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::{Access, Failure, RealCluster, failure, is_unknown_caller};
use crate::trigger::AppType;

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

    /// Whether the emulator may do this with workloads of a kind in a namespace (`get`, `patch`).
    pub async fn may(&self, verb: &str, kind: AppType, namespace: &str) -> Result<bool, Failure> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some("apps".to_owned()),
                    namespace: Some(namespace.to_owned()),
                    resource: Some(kind.as_str().to_owned()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|error| Failure::Passing(error.to_string()))?;
        let mut may_try_again = true;
        loop {
            let connection = self.connection();
            let reviews = Api::all(connection.client().await?);
            let answer = reviews.create(&PostParams::default(), &review).await;
            let error = match answer {
                Ok(SelfSubjectAccessReview { status, .. }) => {
                    return Ok(status.is_some_and(|status| status.allowed));
                }
                Err(error) => error,
            };
            // As for a workload: the kubeconfig may have better credentials by now.
            self.forget(&connection);
            if !(is_unknown_caller(&error) && may_try_again) {
                return Err(failure(&error));
            }
            may_try_again = false;
        }
    }
}
