"""Tags."""

import json

from huaweicloudsdkswr import v2 as swr

from .harness import DIGEST, MOMENT, Harness


class Tags(Harness):
    # Acting

    def copy_tag(self, organization, source, destination, override=None):
        body = swr.CreateRepoTagRequestBody(source, destination, override)
        request = swr.CreateRepoTagRequest(organization, "library$nginx", body)
        return self.client.create_repo_tag(request)

    def delete_tag(self, organization, tag):
        request = swr.DeleteRepoTagRequest(organization, "library$nginx", tag)
        return self.client.delete_repo_tag(request)

    def list_tags_by_marker(self, organization, **parameters):
        request = swr.ListRepositoryTagRequest(organization, "library$nginx", **parameters)
        return self.client.list_repository_tag(request)

    # Tests

    def test_a_pushed_tag_is_shown_and_listed_with_every_field(self):
        organization = self.new_organization()
        digest = self.push(organization, "v1.0_A")
        self.assertRegex(digest, DIGEST)

        shown = self.show_tag(organization, "v1.0_A")
        self.assertEqual((shown.tag, shown.digest), ("v1.0_A", digest))
        self.assertEqual((shown.schema, shown.tag_type, shown.is_trusted), (2, 0, False))
        repository = self.show_repository(organization)
        self.assertEqual((shown.repo_id, shown.size), (repository.id, repository.size))
        self.assertEqual(shown.path, f"{repository.path}:v1.0_A")
        self.assertEqual(shown.internal_path, shown.path)
        self.assertEqual(shown.domain_id, repository.domain_id)
        self.assertRegex(shown.created, MOMENT)
        self.assertEqual(shown.updated, shown.created)
        self.assertIsInstance(shown.id, int)
        config = json.loads(shown.manifest)["config"]["digest"]
        self.assertEqual(f"sha256:{shown.image_id}", config)
        self.assertEqual(repository.num_images, 1)

        listed = self.list_tags(organization)
        self.assertEqual((len(listed.body), listed.content_range), (1, "0-1/1"))
        entry = listed.body[0]
        self.assertEqual((entry.deleted, entry.scanned), (None, False))
        for field in shown.attribute_map:
            self.assertEqual(getattr(entry, field), getattr(shown, field), field)

        listed = self.list_tags_by_marker(organization, with_manifest=True)
        self.assertEqual((listed.next_marker, listed.has_more), (None, False))
        self.assertEqual(len(listed.tags), 1)
        for field in shown.attribute_map:
            self.assertEqual(getattr(listed.tags[0], field), getattr(shown, field), field)
        # Only who asks for them gets manifests.
        self.assertEqual(self.list_tags_by_marker(organization).tags[0].manifest, "")

    def test_tags_are_listed_by_page_order_and_filter(self):
        organization = self.new_organization()
        for tag in ["b", "a", "ab"]:
            self.push(organization, tag)

        def check(tags, content_range, **parameters):
            listed = self.list_tags(organization, **parameters)
            self.assertEqual(self.tags(listed), tags, parameters)
            self.assertEqual(listed.content_range, content_range, parameters)

        check(["a", "ab"], "1-2/3", limit="2", offset="1")
        check([], "4-0/3", limit="2", offset="4")
        check(["a", "ab", "b"], "0-3/3", order_column="tag", order_type="asc")
        check(["ab", "a", "b"], "0-3/3", order_column="updated_at", order_type="desc")
        check(["b", "ab"], "0-2/2", tag="b")
        check(["b"], "0-1/2", filter="tag::b|limit::1")
        code = "SVCSTG.SWR.4001096"
        self.assert_refused(400, code, self.list_tags, organization, order_column="colour")

    def test_tags_are_listed_marker_by_marker(self):
        organization = self.new_organization()
        for tag in ["b", "a", "ab"]:
            self.push(organization, tag)
        order = {"limit": 2, "order_column": "tag", "order_type": "asc"}

        first = self.list_tags_by_marker(organization, **order)
        self.assertEqual([entry.tag for entry in first.tags], ["a", "ab"])
        self.assertIs(first.has_more, True)
        self.assertIsInstance(first.next_marker, str)
        last = self.list_tags_by_marker(organization, marker=first.next_marker, **order)
        self.assertEqual([entry.tag for entry in last.tags], ["b"])
        self.assertEqual((last.has_more, last.next_marker), (False, None))
        found = self.list_tags_by_marker(organization, tag="ab").tags
        self.assertEqual([entry.tag for entry in found], ["ab"])

    def test_a_tag_is_copied_moved_and_deleted(self):
        organization = self.new_organization()
        first, second = self.push(organization, "v1"), self.push(organization, "v2")

        self.assert_empty_object(201, self.copy_tag(organization, "v1", "latest"))
        self.assertEqual(self.show_tag(organization, "latest").digest, first)
        code = "SVCSTG.SWR.4090006"
        self.assert_refused(409, code, self.copy_tag, organization, "v2", "latest")
        self.copy_tag(organization, "v2", "latest", override=True)
        self.assertEqual(self.show_tag(organization, "latest").digest, second)

        self.assert_no_content(self.delete_tag(organization, "latest"))
        self.assertEqual(self.tags(self.list_tags(organization)), ["v1", "v2"])
        code = "SVCSTG.SWR.4040048"
        self.assert_refused(404, code, self.show_tag, organization, "latest")
        self.assert_refused(404, code, self.delete_tag, organization, "latest")
        self.assert_refused(404, code, self.copy_tag, organization, "latest", "v3")

    def test_tags_of_a_missing_repository_are_refused(self):
        organization = self.new_organization()
        code = "SVCSTG.SWR.4040010"
        self.assert_refused(404, code, self.list_tags, organization)
        self.assert_refused(404, code, self.list_tags_by_marker, organization)
        self.assert_refused(404, code, self.show_tag, organization, "v1")
        self.assert_refused(404, code, self.delete_tag, organization, "v1")
        self.assert_refused(404, code, self.copy_tag, organization, "v1", "v2")
