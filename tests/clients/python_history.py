"""The official Python SDK against a running emulator: the history that a push left in a trigger.

Somebody has pushed the tag PUSHED_TAG to group/busybox, and nothing else; the URL comes from
SWR_EMULATOR_URL. The trigger on-push has to have one entry, which says so with all of its fields.
"""

import os
import unittest
import urllib.request

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkswr import v2 as swr

URL = os.environ["SWR_EMULATOR_URL"]
TAG = os.environ["PUSHED_TAG"]
PROJECT_ID = "00000000000000000000000000000001"

MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"


def wait_until_fired():
    """Returns once nothing that a push has fired is waiting or running."""
    request = urllib.request.Request(f"{URL}/_emulator/idle?timeout=60s")
    request.add_header("X-Auth-Token", "swr-emulator")
    urllib.request.urlopen(request).close()


class History(unittest.TestCase):
    def test_the_push_left_one_entry_with_every_field(self):
        access_key = os.environ["HUAWEICLOUD_SDK_AK"]
        credentials = BasicCredentials(access_key, os.environ["HUAWEICLOUD_SDK_SK"], PROJECT_ID)
        client = swr.SwrClient.new_builder().with_credentials(credentials).with_endpoint(URL).build()
        wait_until_fired()

        shown = client.show_trigger(swr.ShowTriggerRequest("group", "busybox", "on-push"))

        self.assertEqual(len(shown.trigger_history), 1, shown)
        entry = shown.trigger_history[0]
        self.assertRegex(entry.created_at, MOMENT)
        expected = {
            "action": "update",
            "app_type": "deployments",
            "application": "adsfa",
            "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5",
            "cluster_name": "test",
            "cluster_ns": "default",
            "condition": ".*",
            "container": "busybox",
            "created_at": entry.created_at,
            "creator_name": "admin",
            "detail": "",
            "result": "success",
            "tag": TAG,
        }
        self.assertEqual(entry.to_dict(), expected)
        self.assertEqual(len(entry.attribute_map), len(expected))


if __name__ == "__main__":
    unittest.main(verbosity=2)
