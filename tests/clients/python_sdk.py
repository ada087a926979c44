"""The official Python SDK against a running emulator: every operation of SWR's Basic Edition.

Each test goes through the SDK's public interface only and judges what a program using the SDK
would see: fields of responses and of exceptions. The emulator has the contents of seed.yaml; its
URL comes from SWR_EMULATOR_URL, that of its other region from SWR_EMULATOR_EAST_URL. All tests
run twice, by a client that was told its project and by one that asks IAM for it. Each test makes
an organization of its own, so neither their order nor other contents of the emulator matter.

The tests are in the folder python, chapter by chapter; this is who runs them, and the proof that
no operation is left out.
"""

import os
import unittest
from unittest import mock

from huaweicloudsdkcore.exceptions.exceptions import SdkException
from huaweicloudsdkswr import v2 as swr
from huaweicloudsdkswr.v2.region.swr_region import SwrRegion

from python.account import Account
from python.accessory import Accessories
from python.harness import (
    ACCESS_KEY,
    PROJECT_ID,
    REGION,
    SECRET_KEY,
    URL,
    client_of_region,
    client_with_project,
    credentials_without_project,
)
from python.login import Login
from python.namespace import Organizations
from python.operations import Completeness, record
from python.permission import Permissions
from python.repository import Repositories
from python.retention import Retention
from python.sharing import Sharing
from python.sync import Sync
from python.tag import Tags
from python.trigger import Triggers
from python.version import Versions

ACCESS_DENIED = "Incorrect IAM authentication information: "


class Operations(
    Triggers,
    Organizations,
    Permissions,
    Repositories,
    Tags,
    Accessories,
    Sharing,
    Sync,
    Retention,
    Login,
    Account,
    Versions,
):
    """The tests that both clients must pass."""


class ClientWithProject(Operations, unittest.TestCase):
    """A client that was told its project."""

    lone_account = "lone-1"

    @classmethod
    def setUpClass(cls):
        record(cls)
        cls.client = client_with_project()

    def connect(self, access_key, secret_key, region=REGION, url=URL):
        return client_with_project(access_key, secret_key, url)

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

    lone_account = "lone-2"

    @classmethod
    def setUpClass(cls):
        record(cls)
        cls.credentials = credentials_without_project()
        cls.client = client_of_region(cls.credentials)

    def connect(self, access_key, secret_key, region=REGION, url=URL):
        credentials = credentials_without_project(access_key, secret_key)
        return client_of_region(credentials, region, url)

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


class EveryOperation(Completeness, unittest.TestCase):
    """What the clients before it were answered."""

    clients = [ClientWithProject, ClientOfRegion]


def load_tests(loader, _tests, _pattern):
    """All classes, the one that looks back at the others last."""
    classes = [*EveryOperation.clients, EveryOperation]
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, classes))


if __name__ == "__main__":
    unittest.main(verbosity=2)
