"""Images shared with other accounts, and both lists of them."""

from huaweicloudsdkswr import v2 as swr

from .harness import ACCOUNT, MOMENT, USER, Harness

# The other account of seed.yaml.
PARTNER = "partner"


class Sharing(Harness):
    # Acting

    def as_partner(self):
        return self.connect("PARTNER", "partner-secret")

    def share(self, organization, repository="library/nginx", **changes):
        fields = {"access_domain": PARTNER, "permit": "read", "deadline": "forever", **changes}
        body = swr.CreateRepoDomainsRequestBody(**fields)
        request = swr.CreateRepoDomainsRequest(organization, repository.replace("/", "$"), body)
        return self.client.create_repo_domains(request)

    def show_share(self, organization, access_domain=PARTNER):
        request = swr.ShowAccessDomainRequest(organization, "library$nginx", access_domain)
        return self.client.show_access_domain(request)

    def list_shares(self, organization):
        request = swr.ListRepoDomainsRequest(organization, "library$nginx")
        return self.client.list_repo_domains(request)

    def update_share(self, organization, access_domain=PARTNER, **fields):
        body = swr.UpdateRepoDomainsRequestBody(**fields)
        return self.client.update_repo_domains(
            swr.UpdateRepoDomainsRequest(organization, "library$nginx", access_domain, body)
        )

    def delete_share(self, organization, access_domain=PARTNER):
        request = swr.DeleteRepoDomainsRequest(organization, "library$nginx", access_domain)
        return self.client.delete_repo_domains(request)

    # Tests

    def test_a_share_is_made_shown_changed_and_removed(self):
        organization = self.new_organization_with_repository()
        self.assertEqual(self.entries(self.list_shares(organization)), [])

        deadline = "2999-10-01T16:00:00.000Z"
        created = self.share(organization, deadline=deadline, description="for you")
        self.assert_empty_object(201, created)

        shown = self.show_share(organization)
        self.assertIs(shown.exist, True)
        self.assertEqual((shown.namespace, shown.repository), (organization, "library/nginx"))
        self.assertEqual((shown.access_domain, shown.permit), (PARTNER, "read"))
        self.assertEqual(shown.deadline[:10], deadline[:10])
        self.assertEqual((shown.description, shown.creator_name), ("for you", USER))
        self.assertRegex(shown.creator_id, r"^[0-9a-f]{32}$")
        self.assertRegex(shown.created, MOMENT)
        self.assertEqual(shown.updated, shown.created)
        self.assertIs(shown.status, True)
        listed = self.entries(self.list_shares(organization))
        self.assertEqual(len(listed), 1)
        for field in listed[0].attribute_map:
            self.assertEqual(getattr(listed[0], field), getattr(shown, field), field)

        # Its last day is long over.
        updated = self.update_share(organization, permit="read", deadline="2020-01-01T00:00:00Z")
        self.assert_empty_object(201, updated)
        changed = self.show_share(organization)
        self.assertEqual((changed.deadline[:10], changed.description), ("2020-01-01", ""))
        self.assertIs(changed.status, False)
        self.assertEqual(changed.created, shown.created)

        self.assert_no_content(self.delete_share(organization))
        self.assertEqual(self.entries(self.list_shares(organization)), [])
        self.assertIs(self.show_share(organization).exist, False)

    def test_a_shared_image_is_in_the_lists_of_both_accounts(self):
        organization = self.new_organization()
        for name in ["library/nginx", "library/redis", "library/kept"]:
            self.new_repository(organization, name, description=name, category="database")
        self.share(organization)
        self.share(organization, "library/redis", deadline="2020-01-01T00:00:00Z")

        def check(client, center, expected):
            request = swr.ListSharedReposDetailsRequest(
                center=center,
                namespace=organization,
                limit="10",
                offset="0",
                order_column="name",
                order_type="asc",
            )
            v2 = client.list_shared_repos_details(request)
            found = [(entry.name, entry.status) for entry in self.entries(v2)]
            self.assertEqual(found, expected)
            self.assertEqual(v2.content_range, f"0-{len(expected)}/{len(expected)}")
            request = swr.ListSharedRepoDetailsRequest(shared_by=center, namespace=organization)
            v3 = client.list_shared_repo_details(request)
            found = sorted((entry.name, entry.status) for entry in v3.repos)
            self.assertEqual(found, expected)
            self.assertIsNone(v3.next_marker)
            return self.entries(v2), v3.repos

        both = [("library/nginx", True), ("library/redis", False)]
        partner = self.as_partner()
        check(self.client, "self", [(name, False) for name, _ in both])
        check(self.client, "thirdparty", [])
        check(partner, "self", [])
        v2, v3 = check(partner, "thirdparty", both)

        shown = self.show_repository(organization)
        entry = v2[0]
        self.assertEqual((entry.domain_name, entry.namespace), (ACCOUNT, organization))
        self.assertEqual((entry.description, entry.category), ("library/nginx", "database"))
        self.assertEqual((entry.path, entry.total_range), (shown.path, 2))
        self.assertIs(entry.is_public, False)
        self.assertEqual((entry.created_at, entry.updated_at), (shown.created, shown.updated))
        entry = next(entry for entry in v3 if entry.name == "library/nginx")
        self.assertEqual((entry.id, entry.namespace_name), (shown.id, organization))
        self.assertEqual((entry.domain_name, entry.category), (ACCOUNT, "database"))

    def test_shared_images_are_listed_by_name_filter_and_marker(self):
        organization = self.new_organization()
        for name in ["a/one", "b/two"]:
            self.new_repository(organization, name)
            self.share(organization, name)
        partner = self.as_partner()

        def names(**parameters):
            request = swr.ListSharedReposDetailsRequest(center="thirdparty", **parameters)
            return self.names(partner.list_shared_repos_details(request))

        self.assertEqual(names(namespace=organization, name="two"), ["b/two"])
        self.assertEqual(names(filter=f"namespace::{organization}|name::one"), ["a/one"])

        def page(**parameters):
            parameters.update(shared_by="thirdparty", namespace=organization, limit=1)
            request = swr.ListSharedRepoDetailsRequest(**parameters)
            found = partner.list_shared_repo_details(request)
            return [entry.name for entry in found.repos], found.next_marker

        first, marker = page()
        self.assertIsInstance(marker, int)
        second, end = page(marker=marker)
        self.assertEqual((sorted(first + second), end), (["a/one", "b/two"], None))
        self.assertEqual(page(status=False), ([], None))

    def test_the_other_account_sees_what_is_shared_with_it_until_it_no_longer_is(self):
        organization, partner = self.new_organization_with_repository(), self.as_partner()
        request = swr.ListSharedReposDetailsRequest(center="thirdparty", namespace=organization)
        self.share(organization)
        self.assertEqual(self.names(partner.list_shared_repos_details(request)), ["library/nginx"])
        self.delete_share(organization)
        self.assertEqual(self.names(partner.list_shared_repos_details(request)), [])

    def test_a_faulty_or_missing_share_is_refused(self):
        organization = self.new_organization_with_repository()

        def check(status, code, operation, **fields):
            code = f"SVCSTG.SWR.{code}"
            return self.assert_refused(status, code, operation, organization, **fields)

        check(400, "4001041", self.share, access_domain="nobody")
        message = check(400, "4000014", self.share, permit="write")
        self.assertTrue(message.startswith("permit: "), message)
        message = check(400, "4000014", self.share, deadline="tomorrow")
        self.assertTrue(message.startswith("deadline: "), message)
        check(400, "4001090", self.update_share, permit="read", deadline="forever")
        check(400, "4001090", self.delete_share)
        self.share(organization)
        check(409, "4090089", self.share)
        request = swr.ListSharedReposDetailsRequest(center="everybody")
        operation = self.client.list_shared_repos_details
        self.assert_refused(400, "SVCSTG.SWR.4001025", operation, request)
