"""Repositories, and the account's lists of them."""

from huaweicloudsdkswr import v2 as swr

from .harness import ACCOUNT, MOMENT, USER, Harness


class Repositories(Harness):
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
