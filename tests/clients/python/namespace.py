"""Organizations."""

import secrets

from huaweicloudsdkswr import v2 as swr

from .harness import USER, Harness


class Organizations(Harness):
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
