"""Versions of the API."""

from huaweicloudsdkswr import v2 as swr

from .harness import Harness


class Versions(Harness):
    def test_the_version_is_listed_and_shown(self):
        listed = self.client.list_api_versions(swr.ListApiVersionsRequest()).versions
        self.assertEqual([version.id for version in listed], ["v2"])
        shown = self.client.show_api_version(swr.ShowApiVersionRequest("v2")).version
        self.assertEqual((shown.id, shown.status, shown.links.rel), ("v2", "CURRENT", "self"))
        for field in shown.attribute_map:
            self.assertTrue(getattr(shown, field), field)
        self.assertEqual(listed, [shown])
