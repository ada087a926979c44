"""Accessories of images, and the images that a signature belongs to."""

from huaweicloudsdkswr import v2 as swr

from .harness import Harness


def name_of_signature(digest):
    """The tag under which cosign looks for the signature of an image."""
    return f"{digest.replace(':', '-')}.sig"


class Accessories(Harness):
    # Acting

    def list_accessories(self, organization, tag, **parameters):
        request = swr.ListRepoAccessoriesRequest(organization, "library$nginx", tag, **parameters)
        return self.client.list_repo_accessories(request)

    def list_references(self, organization, tag, **parameters):
        request = swr.ListReferencesRequest(organization, "library$nginx", tag, **parameters)
        return self.client.list_references(request)

    # Tests

    def test_a_signature_is_an_accessory_of_its_image(self):
        organization = self.new_organization()
        image = self.push(organization, "v1")
        unsigned = self.list_accessories(organization, "v1")
        self.assertEqual((unsigned.total, unsigned.accessories), (0, None))
        signature = name_of_signature(image)
        digest = self.push(organization, signature)

        listed = self.list_accessories(organization, "v1")
        self.assertEqual((listed.total, len(listed.accessories)), (1, 1))
        found, shown = listed.accessories[0], self.show_tag(organization, signature)
        self.assertEqual((found.sig_tag, found.sig_digest), (signature, digest))
        self.assertEqual((found.target_digest, found.type), (image, "signature.cosign"))
        self.assertEqual((found.namespace_name, found.repo_name), (organization, "library/nginx"))
        self.assertEqual((found.domain_id, found.size), (shown.domain_id, shown.size))
        self.assertEqual((found.created_at, found.updated_at), (shown.created, shown.updated))
        self.assertIsInstance(found.id, int)
        self.assertEqual(shown.tag_type, 2)

    def test_accessories_come_in_pages(self):
        organization = self.new_organization()
        signature = name_of_signature(self.push(organization, "v1"))
        self.push(organization, signature)
        attestation = signature.removesuffix(".sig") + ".att"
        self.push(organization, attestation)

        def page(**parameters):
            listed = self.list_accessories(organization, "v1", **parameters)
            self.assertEqual(listed.total, 2)
            return [found.sig_tag for found in listed.accessories or []]

        self.assertEqual(page(), [signature, attestation])
        self.assertEqual(page(limit=1, offset=1), [attestation])
        self.assertEqual(page(limit=1, offset=2), [])

    def test_the_references_of_a_signature_are_the_tags_of_its_image(self):
        organization = self.new_organization()
        for tag in ["v3", "v1", "v2"]:
            image = self.push(organization, tag, nonce="the same")
        self.push(organization, "other")
        signature = name_of_signature(image)
        self.push(organization, signature)

        everything = self.list_references(organization, signature)
        self.assertEqual(everything.tags, ["v1", "v2", "v3"])
        self.assertEqual((everything.has_more, everything.next_marker), (False, None))
        first = self.list_references(organization, signature, limit=2)
        self.assertEqual((first.tags, first.has_more), (["v1", "v2"], True))
        last = self.list_references(organization, signature, limit=2, marker=first.next_marker)
        self.assertEqual((last.tags, last.has_more, last.next_marker), (["v3"], False, None))

    def test_a_missing_tag_has_neither_and_an_image_is_no_signature(self):
        organization = self.new_organization()
        signature = name_of_signature(self.push(organization, "v1"))
        code = "SVCSTG.SWR.4040048"
        self.assert_refused(404, code, self.list_accessories, organization, "v2")
        self.assert_refused(404, code, self.list_references, organization, signature)
        code = "SVCSTG.SWR.4000014"
        message = self.assert_refused(400, code, self.list_references, organization, "v1")
        self.assertTrue(message.startswith("tag: "), message)
