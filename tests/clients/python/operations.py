"""The operations of SWR's Basic Edition, and the proof that the tests call each of them."""

from huaweicloudsdkswr import v2 as swr

OPERATIONS = {
    # Triggers
    *["CreateTrigger", "ListTriggersDetails", "ShowTrigger", "UpdateTrigger", "DeleteTrigger"],
    # Organizations, and permissions in them
    *["CreateNamespace", "DeleteNamespaces", "ListNamespaces", "ShowNamespace"],
    *["CreateNamespaceAuth", "DeleteNamespaceAuth", "UpdateNamespaceAuth", "ShowNamespaceAuth"],
    # Repositories
    *["CreateRepo", "DeleteRepo", "UpdateRepo", "ShowRepository", "ListReposDetails"],
    *["ListSharedReposDetails", "ListRepoDetails", "ListSharedRepoDetails"],
    # Tags
    *["ListRepositoryTags", "ShowRepoTag", "CreateRepoTag", "DeleteRepoTag", "ListRepositoryTag"],
    *["ListRepoAccessories", "ListReferences"],
    # Image permissions
    *["CreateUserRepositoryAuth", "DeleteUserRepositoryAuth"],
    *["UpdateUserRepositoryAuth", "ShowUserRepositoryAuth"],
    # Sharing
    *["CreateRepoDomains", "DeleteRepoDomains", "UpdateRepoDomains"],
    *["ShowAccessDomain", "ListRepoDomains"],
    # Sync
    *["CreateImageSyncRepo", "ListImageAutoSyncReposDetails", "DeleteImageSyncRepo"],
    *["CreateManualImageSyncRepo", "ShowSyncJob", "ListSyncRegions"],
    # Retention
    *["CreateRetention", "ListRetentions", "ShowRetention", "UpdateRetention"],
    *["DeleteRetention", "ListRetentionHistories"],
    # Login
    *["CreateSecret", "CreateAuthorizationToken"],
    # Account
    *["ListQuotas", "ShowDomainOverview", "ShowDomainResourceReports"],
    *["ShowShareFeatureGates", "CheckAgency", "CreateAgency"],
    # Versions
    *["ListApiVersions", "ShowApiVersion"],
}

# Where the Enterprise Edition and its console live: all of that is out of scope.
ENTERPRISE = ("/v2/{project_id}/", "/v2/instances/")
# The one of these that a reader of the reference may look for.
CONSOLE = "ListGlobalFeatureGates"


def record(test_class):
    """Has a test class keep, in `answered`, the operations that its clients called with success."""
    test_class.answered = answered = set()
    send = swr.SwrClient.do_http_request

    def recording(client, **request):
        response = send(client, **request)
        answered.add(request["request_type"].removesuffix("Request"))
        return response

    swr.SwrClient.do_http_request = recording
    test_class.addClassCleanup(setattr, swr.SwrClient, "do_http_request", send)


def operations_of_the_sdk():
    """The path of each operation that the SDK has a method for, by name."""
    paths = {}
    for method in dir(swr.SwrClient):
        if method.endswith("_invoker"):
            method = method.removesuffix("_invoker")
            name = method.title().replace("_", "")
            request = getattr(swr, f"{name}Request")()
            sent = getattr(swr.SwrClient, f"_{method}_http_info")(request)
            paths[name] = sent["resource_path"]
    return paths


class Completeness:
    # The test classes that ran before.
    clients = []

    def test_there_are_59_operations_and_the_sdk_has_no_other_of_this_edition(self):
        found = operations_of_the_sdk()
        self.assertTrue(found[CONSOLE].startswith(ENTERPRISE))
        basic = {name for name, path in found.items() if not path.startswith(ENTERPRISE)}
        self.assertEqual(basic, OPERATIONS)
        self.assertEqual(len(OPERATIONS), 59)

    def test_every_operation_was_called(self):
        for client in self.clients:
            with self.subTest(client=client.__name__):
                self.assertEqual(OPERATIONS - client.answered, set())
