"""The official Python SDK against a running emulator: every operation that the emulator has.

Each test goes through the SDK's public interface only and judges what a program using the SDK
would see: fields of responses and of exceptions. The URL comes from SWR_EMULATOR_URL. All tests
run twice, by a client that was told its project and by one that asks IAM for it. Each test makes
an organization of its own, so neither their order nor other contents of the emulator matter.
"""

import os
import secrets
import unittest
from unittest import mock

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException, SdkException
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkswr import v2 as swr
from huaweicloudsdkswr.v2.region.swr_region import SwrRegion

URL = os.environ.get("SWR_EMULATOR_URL", "http://127.0.0.1:7970")
ACCESS_KEY = os.environ.get("HUAWEICLOUD_SDK_AK", "SWREMULATOR000000001")
SECRET_KEY = os.environ.get("HUAWEICLOUD_SDK_SK", "SwrEmulatorExampleSecretKey0000000000001")
REGION = "cn-north-4"

# The built-in account, its project in the region, and its user.
ACCOUNT = "swr-emulator"
PROJECT_ID = "00000000000000000000000000000001"
USER = "admin"

MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
REQUEST_ID = r"^[0-9a-f]{32}$"

ACCESS_DENIED = "Incorrect IAM authentication information: "


def client_with_project(access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    """A client that knows its project, so that it never asks IAM."""
    credentials = BasicCredentials(access_key, secret_key, PROJECT_ID)
    return swr.SwrClient.new_builder().with_credentials(credentials).with_endpoint(URL).build()


def credentials_without_project(access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    return BasicCredentials(access_key, secret_key).with_iam_endpoint(URL)


def client_of_region(credentials):
    """A client that, not knowing its project, asks IAM for the one named as the region."""
    builder = swr.SwrClient.new_builder().with_credentials(credentials)
    return builder.with_region(Region(REGION, URL)).build()


def in_path(repository):
    """A repository's name as the SDK takes it in paths, where `$` stands for `/`."""
    return repository.replace("/", "$")


def trigger_body(**changes):
    """A trigger that is accepted, with some fields changed, or left out where None is given."""
    fields = {
        "action": "update",
        "app_type": "deployments",
        "application": "web",
        "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5",
        "cluster_name": "test",
        "cluster_ns": "default",
        "condition": ".*",
        "container": "app",
        "enable": "true",
        "name": "deploy",
        "trigger_mode": "cce",
        "trigger_type": "all",
        **changes,
    }
    given = {field: value for field, value in fields.items() if value is not None}
    return swr.CreateTriggerRequestBody(**given)


class Operations:
    """The tests that both clients must pass. A subclass supplies `client`."""

    client = None

    # Arranging

    def new_organization(self):
        name = f"python-{secrets.token_hex(8)}"
        self.create_organization(name)
        self.addCleanup(self.remove_organization, name)
        return name

    def new_repository(self, organization, name="library/nginx", **attributes):
        attributes.setdefault("is_public", False)
        body = swr.CreateRepoRequestBody(repository=name, **attributes)
        return self.client.create_repo(swr.CreateRepoRequest(organization, body))

    def new_organization_with_repository(self, name="library/nginx"):
        organization = self.new_organization()
        self.new_repository(organization, name)
        return organization

    def remove_organization(self, name):
        """Removes what a test left behind; a test may have removed the organization itself."""
        try:
            for repository in self.entries(self.list_repositories(namespace=name)):
                self.client.delete_repo(swr.DeleteRepoRequest(name, in_path(repository.name)))
            self.client.delete_namespaces(swr.DeleteNamespacesRequest(name))
        except ClientRequestException as error:
            self.assertEqual(error.status_code, 404, error)

    # Acting

    def create_organization(self, name):
        body = swr.CreateNamespaceRequestBody(namespace=name)
        return self.client.create_namespace(swr.CreateNamespaceRequest(body))

    def show_repository(self, organization, name="library/nginx"):
        return self.client.show_repository(swr.ShowRepositoryRequest(organization, in_path(name)))

    def list_repositories(self, **parameters):
        return self.client.list_repos_details(swr.ListReposDetailsRequest(**parameters))

    def create_trigger(self, organization, body, repository="library$nginx"):
        request = swr.CreateTriggerRequest(organization, repository, body)
        return self.client.create_trigger(request)

    def list_triggers(self, organization, repository="library$nginx"):
        request = swr.ListTriggersDetailsRequest(organization, repository)
        return self.client.list_triggers_details(request)

    def show_trigger(self, organization, name, repository="library$nginx"):
        request = swr.ShowTriggerRequest(organization, repository, name)
        return self.client.show_trigger(request)

    def update_trigger(self, organization, name, enable, repository="library$nginx"):
        body = swr.UpdateTriggerRequestBody(enable=enable)
        request = swr.UpdateTriggerRequest(organization, repository, name, body)
        return self.client.update_trigger(request)

    def delete_trigger(self, organization, name, repository="library$nginx"):
        request = swr.DeleteTriggerRequest(organization, repository, name)
        return self.client.delete_trigger(request)

    # Asserting

    def entries(self, listed):
        """The entries of an answer that is a list, which the SDK shows as None if it is empty."""
        if listed.body is None:
            self.assertEqual(listed.to_json_object(), [])
        return listed.body or []

    def names(self, listed):
        return [entry.name for entry in self.entries(listed)]

    def assert_refused(self, status, code, operation, *arguments, **keywords):
        """The SDK reports this status and code, and the request's id; returns the message."""
        with self.assertRaises(ClientRequestException) as caught:
            operation(*arguments, **keywords)
        error = caught.exception
        self.assertEqual((error.status_code, error.error_code), (status, code), error)
        self.assertRegex(error.request_id, REQUEST_ID)
        self.assertTrue(error.error_msg)
        return error.error_msg

    def assert_is(self, trigger, body):
        """The trigger has each field that the body gave."""
        for field in body.attribute_map:
            if getattr(body, field) is not None:
                self.assertEqual(getattr(trigger, field), getattr(body, field), field)

    # Organizations

    def test_an_organization_is_created_shown_and_deleted(self):
        name = f"python-{secrets.token_hex(8)}"
        self.addCleanup(self.remove_organization, name)

        created = self.create_organization(name)
        self.assertEqual((created.status_code, created.to_json_object()), (201, {}))

        shown = self.client.show_namespace(swr.ShowNamespaceRequest(name))
        self.assertEqual(shown.status_code, 200)
        self.assertEqual((shown.name, shown.creator_name, shown.auth), (name, USER, 7))
        self.assertIsInstance(shown.id, int)

        deleted = self.client.delete_namespaces(swr.DeleteNamespacesRequest(name))
        self.assertEqual((deleted.status_code, deleted.raw_content), (204, b""))
        self.assert_refused(
            404,
            "SVCSTG.SWR.4040058",
            self.client.show_namespace,
            swr.ShowNamespaceRequest(name),
        )

    def test_organizations_are_listed_all_or_by_name(self):
        first, second = self.new_organization(), self.new_organization()

        everything = self.client.list_namespaces(swr.ListNamespacesRequest())
        self.assertLessEqual({first, second}, {found.name for found in everything.namespaces})
        named = self.client.list_namespaces(swr.ListNamespacesRequest(namespace=first))
        self.assertEqual(len(named.namespaces), 1)
        found = named.namespaces[0]
        self.assertEqual((found.name, found.creator_name, found.auth), (first, USER, 7))
        shown = self.client.show_namespace(swr.ShowNamespaceRequest(first))
        self.assertEqual(found.id, shown.id)

    def test_organizations_are_listed_by_filter(self):
        name = self.new_organization()

        visible = self.client.list_namespaces(swr.ListNamespacesRequest(filter="mode::visible"))
        self.assertIn(name, [found.name for found in visible.namespaces])
        request = swr.ListNamespacesRequest(filter=f"namespace::{name}|mode::visible")
        named = self.client.list_namespaces(request)
        self.assertEqual([found.name for found in named.namespaces], [name])

    def test_an_organization_that_exists_is_not_created_again(self):
        name = self.new_organization()
        self.assert_refused(409, "SVCSTG.SWR.4090060", self.create_organization, name)

    def test_an_organization_needs_a_lawful_name(self):
        message = self.assert_refused(400, "SVCSTG.SWR.4001028", self.create_organization, "No")
        self.assertTrue(message.startswith("namespace: "), message)

    def test_an_organization_with_repositories_is_not_deleted(self):
        name = self.new_organization_with_repository()
        request = swr.DeleteNamespacesRequest(name)
        self.assert_refused(406, "SVCSTG.SWR.4060074", self.client.delete_namespaces, request)

    # Repositories

    def test_a_repository_is_created_shown_changed_and_deleted(self):
        organization = self.new_organization()

        # Text outside ASCII and `/` in the name are what signatures stumble over.
        created = self.new_repository(
            organization, category="linux", description="Überall “Läuft” 镜像", is_public=True
        )
        self.assertEqual((created.status_code, created.to_json_object()), (200, {}))

        shown = self.show_repository(organization)
        self.assertEqual(shown.name, "library/nginx")
        self.assertEqual((shown.category, shown.is_public), ("linux", True))
        self.assertEqual(shown.description, "Überall “Läuft” 镜像")
        self.assertEqual((shown.creator_name, shown.url, shown.priority), (USER, "", 0))
        self.assertEqual((shown.num_images, shown.num_download, shown.size), (0, 0, 0))
        self.assertTrue(shown.path.endswith(f"/{organization}/library/nginx"), shown.path)
        self.assertEqual(shown.internal_path, shown.path)
        self.assertRegex(shown.created, MOMENT)
        self.assertEqual(shown.updated, shown.created)
        self.assertIsInstance(shown.id, int)
        namespace = self.client.show_namespace(swr.ShowNamespaceRequest(organization))
        self.assertEqual(shown.ns_id, namespace.id)

        body = swr.UpdateRepoRequestBody(is_public=False, category="other", description="second")
        updated = self.client.update_repo(
            swr.UpdateRepoRequest(organization, "library$nginx", body)
        )
        self.assertEqual((updated.status_code, updated.to_json_object()), (201, {}))
        changed = self.show_repository(organization)
        self.assertEqual((changed.category, changed.is_public), ("other", False))
        self.assertEqual((changed.description, changed.id), ("second", shown.id))
        self.assertEqual(changed.created, shown.created)
        self.assertRegex(changed.updated, MOMENT)

        deleted = self.client.delete_repo(swr.DeleteRepoRequest(organization, "library$nginx"))
        self.assertEqual((deleted.status_code, deleted.raw_content), (204, b""))
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.show_repository, organization)

    def test_a_repository_without_attributes_gets_the_defaults(self):
        organization = self.new_organization_with_repository("nginx")
        shown = self.show_repository(organization, "nginx")
        self.assertEqual((shown.category, shown.description), ("other", ""))
        self.assertIs(shown.is_public, False)

    def test_a_repository_is_also_found_with_its_slash_unchanged(self):
        organization = self.new_organization_with_repository()
        request = swr.ShowRepositoryRequest(organization, "library/nginx")
        self.assertEqual(self.client.show_repository(request).name, "library/nginx")

    def test_a_repository_that_exists_is_not_created_again(self):
        organization = self.new_organization_with_repository()
        self.assert_refused(409, "SVCSTG.SWR.4090006", self.new_repository, organization)

    def test_a_repository_needs_a_lawful_name(self):
        organization = self.new_organization()
        message = self.assert_refused(
            400, "SVCSTG.SWR.4001029", self.new_repository, organization, "No"
        )
        self.assertTrue(message.startswith("repository: "), message)

    def test_a_repository_of_a_missing_organization_is_refused(self):
        self.assert_refused(404, "SVCSTG.SWR.4040058", self.new_repository, "python-missing")
        self.assert_refused(404, "SVCSTG.SWR.4040058", self.show_repository, "python-missing")

    def test_a_missing_repository_is_neither_changed_nor_deleted(self):
        organization = self.new_organization()
        request = swr.UpdateRepoRequest(
            organization, "library$nginx", swr.UpdateRepoRequestBody(is_public=True)
        )
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.client.update_repo, request)
        request = swr.DeleteRepoRequest(organization, "library$nginx")
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.client.delete_repo, request)

    def test_an_entry_of_the_repository_list_has_every_field(self):
        organization = self.new_organization()
        self.new_repository(organization, category="database", description="d", is_public=True)

        listed = self.list_repositories(namespace=organization)
        self.assertEqual((len(listed.body), listed.content_range), (1, "0-1/1"))
        entry = listed.body[0]
        self.assertEqual((entry.namespace, entry.name), (organization, "library/nginx"))
        self.assertEqual((entry.category, entry.description), ("database", "d"))
        self.assertIs(entry.is_public, True)
        self.assertEqual((entry.size, entry.num_images, entry.num_download), (0, 0, 0))
        self.assertEqual((entry.logo, entry.url, entry.tags), ("", "", []))
        self.assertEqual((entry.domain_name, entry.total_range), (ACCOUNT, 1))
        self.assertIs(entry.status, False)
        self.assertTrue(entry.path.endswith(f"/{organization}/library/nginx"), entry.path)
        self.assertEqual(entry.internal_path, entry.path)
        shown = self.show_repository(organization)
        self.assertEqual((entry.created_at, entry.updated_at), (shown.created, shown.updated))

    def test_repositories_are_listed_page_by_page(self):
        organization = self.new_organization()
        for name in ["a/one", "b/two", "c/three"]:
            self.new_repository(organization, name)

        def check(parameters, names, content_range):
            listed = self.list_repositories(namespace=organization, **parameters)
            self.assertEqual(self.names(listed), names, parameters)
            self.assertEqual({entry.total_range for entry in self.entries(listed)} - {3}, set())
            self.assertEqual(listed.content_range, content_range, parameters)

        check({}, ["a/one", "b/two", "c/three"], "0-3/3")
        check({"limit": "2", "offset": "0"}, ["a/one", "b/two"], "0-2/3")
        check({"limit": "2", "offset": "2"}, ["c/three"], "2-1/3")
        check({"limit": "2", "offset": "4"}, [], "4-0/3")

    def test_repositories_are_listed_in_the_order_asked_for(self):
        organization = self.new_organization()
        for name in ["b", "c", "a"]:
            self.new_repository(organization, name)
        body = swr.UpdateRepoRequestBody(is_public=False, description="changed last")
        self.client.update_repo(swr.UpdateRepoRequest(organization, "c", body))

        def check(column, direction, names):
            listed = self.list_repositories(
                namespace=organization, order_column=column, order_type=direction
            )
            self.assertEqual(self.names(listed), names, (column, direction))

        check("name", "asc", ["a", "b", "c"])
        check("name", "desc", ["c", "b", "a"])
        check("updated_time", "asc", ["b", "a", "c"])
        check("updated_at", "desc", ["c", "a", "b"])
        self.assert_refused(
            400,
            "SVCSTG.SWR.4001096",
            self.list_repositories,
            order_column="colour",
            order_type="asc",
        )

    def test_repositories_are_listed_by_filter(self):
        organization = self.new_organization()
        self.new_repository(organization, "library/nginx", category="linux")
        self.new_repository(organization, "library/redis", category="database")
        self.new_repository(organization, "other/nginx", category="database")

        def check(filter_, names, content_range):
            # The filter displaces the separate parameter, which would match nothing.
            listed = self.list_repositories(
                filter=f"namespace::{organization}|{filter_}", name="nothing"
            )
            self.assertEqual(self.names(listed), names, filter_)
            self.assertEqual(listed.content_range, content_range, filter_)

        check("name::nginx", ["library/nginx", "other/nginx"], "0-2/2")
        check("name::library/nginx", ["library/nginx"], "0-1/1")
        check("name::nginx|limit::1|offset::1", ["other/nginx"], "1-1/2")
        check("category::database", ["library/redis", "other/nginx"], "0-2/2")
        check("name::missing", [], "0-0/0")
        self.assert_refused(400, "SVCSTG.SWR.4001035", self.list_repositories, filter="nonsense")

    def test_repositories_are_listed_by_separate_parameters(self):
        organization = self.new_organization()
        self.new_repository(organization, "library/nginx", category="linux")
        self.new_repository(organization, "library/redis", category="database")

        def check(names, **parameters):
            listed = self.list_repositories(namespace=organization, **parameters)
            self.assertEqual(self.names(listed), names, parameters)

        check(["library/nginx"], name="ngi")
        check(["library/redis"], category="database")
        check([], name="nginx", category="database")

    def test_repositories_are_listed_marker_by_marker(self):
        organization = self.new_organization()
        for name in ["a/one", "b/two", "c/three"]:
            self.new_repository(organization, name, description=name, is_public=name == "b/two")

        def page(**parameters):
            request = swr.ListRepoDetailsRequest(namespace=organization, **parameters)
            return self.client.list_repo_details(request)

        first = page(limit=2)
        self.assertEqual([entry.name for entry in first.repos], ["a/one", "b/two"])
        self.assertIsInstance(first.next_marker, int)
        last = page(limit=2, marker=first.next_marker)
        self.assertEqual([entry.name for entry in last.repos], ["c/three"])
        self.assertIsNone(last.next_marker)
        public = page(is_public=True).repos
        self.assertEqual([entry.name for entry in public], ["b/two"])

        entry, shown = public[0], self.show_repository(organization, "b/two")
        self.assertEqual((entry.id, entry.namespace_name), (shown.id, organization))
        self.assertEqual((entry.domain_name, entry.description), (ACCOUNT, "b/two"))
        self.assertEqual((entry.category, entry.is_public), ("other", True))
        self.assertEqual((entry.size, entry.num_images, entry.num_download), (0, 0, 0))
        self.assertEqual((entry.created_at, entry.updated_at), (shown.created, shown.updated))

    # Triggers

    def test_a_trigger_is_created_and_shown_with_every_field(self):
        organization = self.new_organization_with_repository()
        body = trigger_body()

        created = self.create_trigger(organization, body)
        self.assertEqual((created.status_code, created.to_json_object()), (201, {}))

        shown = self.show_trigger(organization, "deploy")
        self.assertEqual(shown.status_code, 200)
        self.assert_is(shown, body)
        self.assertEqual((shown.creator_name, shown.trigger_history), (USER, []))
        self.assertRegex(shown.created_at, MOMENT)

    def test_a_trigger_of_each_type_is_created(self):
        organization = self.new_organization_with_repository()
        bodies = [
            trigger_body(name="every"),
            trigger_body(name="tags", trigger_type="tag", condition="v1;v1.1;latest"),
            trigger_body(
                name="expression",
                trigger_type="regular",
                condition=r"^v\d+(\.[0-9]+)?$",
                app_type="statefulsets",
                enable="false",
            ),
        ]
        for body in bodies:
            self.create_trigger(organization, body)
            self.assert_is(self.show_trigger(organization, body.name), body)

    def test_a_trigger_without_its_optional_fields_gets_the_defaults(self):
        organization = self.new_organization_with_repository()
        optional = ["cluster_id", "cluster_name", "container", "trigger_mode"]
        self.create_trigger(organization, trigger_body(**dict.fromkeys(optional)))

        shown = self.show_trigger(organization, "deploy")
        self.assertEqual(shown.trigger_mode, "cce")
        self.assertEqual((shown.cluster_id, shown.cluster_name, shown.container), ("", "", ""))

    def test_a_trigger_for_cci_names_no_cluster(self):
        organization = self.new_organization_with_repository()
        body = trigger_body(trigger_mode="cci", cluster_id=None, cluster_name=None)
        self.create_trigger(organization, body)

        shown = self.show_trigger(organization, "deploy")
        self.assert_is(shown, body)
        self.assertEqual((shown.cluster_id, shown.cluster_name), ("", ""))

    def test_triggers_are_listed_without_their_history(self):
        organization = self.new_organization_with_repository()
        self.assertEqual(self.entries(self.list_triggers(organization)), [])
        bodies = [trigger_body(name="second"), trigger_body(name="first", enable="false")]
        for body in bodies:
            self.create_trigger(organization, body)

        listed = self.list_triggers(organization).body
        self.assertEqual(len(listed), len(bodies))
        for trigger, body in zip(listed, bodies):
            self.assert_is(trigger, body)
            self.assertEqual(trigger.creator_name, USER)
            self.assertIsNone(trigger.trigger_history)
            shown = self.show_trigger(organization, body.name)
            self.assertEqual(trigger.created_at, shown.created_at)

    def test_a_trigger_is_disabled_and_enabled(self):
        organization = self.new_organization_with_repository()
        body = trigger_body()
        self.create_trigger(organization, body)
        created_at = self.show_trigger(organization, "deploy").created_at

        for enable in ["false", "true"]:
            updated = self.update_trigger(organization, "deploy", enable)
            self.assertEqual((updated.status_code, updated.to_json_object()), (201, {}))
            body.enable = enable
            shown = self.show_trigger(organization, "deploy")
            self.assert_is(shown, body)
            self.assertEqual(shown.created_at, created_at)

    def test_a_deleted_trigger_is_gone(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body(name="kept"))
        self.create_trigger(organization, trigger_body())

        deleted = self.delete_trigger(organization, "deploy")
        self.assertEqual((deleted.status_code, deleted.raw_content), (204, b""))
        self.assertEqual(self.names(self.list_triggers(organization)), ["kept"])

    def test_a_missing_trigger_is_reported_by_each_operation(self):
        organization = self.new_organization_with_repository()
        code = "SVCSTG.SWR.4040126"
        self.assert_refused(404, code, self.show_trigger, organization, "missing")
        self.assert_refused(404, code, self.update_trigger, organization, "missing", "true")
        self.assert_refused(404, code, self.delete_trigger, organization, "missing")

    def test_a_missing_repository_or_organization_is_reported_by_each_trigger_operation(self):
        organization = self.new_organization()
        for name, code in [
            (organization, "SVCSTG.SWR.4040010"),
            ("python-missing", "SVCSTG.SWR.4040058"),
        ]:
            self.assert_refused(404, code, self.create_trigger, name, trigger_body())
            self.assert_refused(404, code, self.list_triggers, name)
            self.assert_refused(404, code, self.show_trigger, name, "deploy")
            self.assert_refused(404, code, self.update_trigger, name, "deploy", "true")
            self.assert_refused(404, code, self.delete_trigger, name, "deploy")

    def test_a_trigger_that_exists_is_not_created_again(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body())
        message = self.assert_refused(
            400, "SVCSTG.SWR.4000014", self.create_trigger, organization, trigger_body()
        )
        self.assertTrue(message.startswith("name: "), message)

    def test_a_faulty_trigger_is_refused_by_the_name_of_its_field(self):
        organization = self.new_organization_with_repository()

        def check(field, **changes):
            message = self.assert_refused(
                400,
                "SVCSTG.SWR.4000014",
                self.create_trigger,
                organization,
                trigger_body(**changes),
            )
            self.assertTrue(message.startswith(f"{field}: "), message)

        check("condition", condition="v1")
        check("condition", trigger_type="tag", condition="v1;;v2")
        check("condition", trigger_type="regular", condition="(")
        check("condition", condition=None)
        check("enable", enable=True)
        check("name", name="1")
        check("cluster_id", trigger_mode="cci")
        self.assertEqual(self.entries(self.list_triggers(organization)), [])

    def test_triggers_go_with_their_repository(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body())
        self.client.delete_repo(swr.DeleteRepoRequest(organization, "library$nginx"))
        self.new_repository(organization)
        self.assertEqual(self.entries(self.list_triggers(organization)), [])

    # Versions

    def test_the_version_is_listed_and_shown(self):
        listed = self.client.list_api_versions(swr.ListApiVersionsRequest()).versions
        self.assertEqual([version.id for version in listed], ["v2"])
        shown = self.client.show_api_version(swr.ShowApiVersionRequest("v2")).version
        self.assertEqual((shown.id, shown.status, shown.links.rel), ("v2", "CURRENT", "self"))
        for field in shown.attribute_map:
            self.assertTrue(getattr(shown, field), field)
        self.assertEqual(listed, [shown])


class ClientWithProject(Operations, unittest.TestCase):
    """A client that was told its project."""

    @classmethod
    def setUpClass(cls):
        cls.client = client_with_project()

    def test_a_wrong_secret_key_is_refused(self):
        self.client = client_with_project(secret_key="wrong")
        message = self.assert_refused(401, "APIGW.0301", self.list_repositories)
        self.assertTrue(message.startswith(ACCESS_DENIED + "verify aksk signature fail"), message)

    def test_an_unknown_access_key_is_refused(self):
        self.client = client_with_project(access_key="UNKNOWN0000000000001")
        message = self.assert_refused(401, "APIGW.0301", self.list_repositories)
        self.assertTrue(message.startswith(ACCESS_DENIED + "Get secretKey failed"), message)


class ClientOfRegion(Operations, unittest.TestCase):
    """A client that asks IAM for its project by the region's name."""

    @classmethod
    def setUpClass(cls):
        cls.credentials = credentials_without_project()
        cls.client = client_of_region(cls.credentials)

    def test_the_project_is_the_one_of_the_region(self):
        self.assertEqual(self.credentials.project_id, PROJECT_ID)

    def test_an_unknown_access_key_finds_no_project(self):
        with self.assertRaises(SdkException) as caught:
            client_of_region(credentials_without_project("UNKNOWN0000000000001"))
        self.assertIn("error_code:APIGW.0301", caught.exception.error_msg)

    def test_a_program_that_names_only_a_region_needs_only_the_environment(self):
        environment = {
            "HUAWEICLOUD_SDK_AK": ACCESS_KEY,
            "HUAWEICLOUD_SDK_SK": SECRET_KEY,
            "HUAWEICLOUD_SDK_IAM_ENDPOINT": URL,
            "HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4": URL,
        }
        with mock.patch.dict(os.environ, environment):
            region = SwrRegion.value_of(REGION)
            self.client = swr.SwrClient.new_builder().with_region(region).build()
        organization = self.new_organization()
        self.assertEqual(self.entries(self.list_repositories(namespace=organization)), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
