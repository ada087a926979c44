"""What the chapters share: clients, and how a test arranges, acts and asserts."""

import json
import os
import secrets
from urllib.request import Request, urlopen

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import (
    ClientRequestException,
    ServiceResponseException,
)
from huaweicloudsdkcore.region.region import Region
from huaweicloudsdkswr import v2 as swr

URL = os.environ.get("SWR_EMULATOR_URL", "http://127.0.0.1:7970")
ACCESS_KEY = os.environ.get("HUAWEICLOUD_SDK_AK", "SWREMULATOR000000001")
SECRET_KEY = os.environ.get("HUAWEICLOUD_SDK_SK", "SwrEmulatorExampleSecretKey0000000000001")
REGION = "cn-north-4"

# The other region of seed.yaml. It listens on a port that only its start tells.
EAST_URL = os.environ.get("SWR_EMULATOR_EAST_URL", "")
EAST_REGION = "cn-east-3"

# The built-in account, its project in each region, and its user.
ACCOUNT = "swr-emulator"
PROJECT_ID = "00000000000000000000000000000001"
USER = "admin"
TOKEN = "swr-emulator"

MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$"
REQUEST_ID = r"^[0-9a-f]{32}$"
DIGEST = r"^sha256:[0-9a-f]{64}$"


def client_with_project(access_key=ACCESS_KEY, secret_key=SECRET_KEY, url=URL):
    """A client that knows its project, so that it never asks IAM."""
    credentials = BasicCredentials(access_key, secret_key, PROJECT_ID)
    return swr.SwrClient.new_builder().with_credentials(credentials).with_endpoint(url).build()


def credentials_without_project(access_key=ACCESS_KEY, secret_key=SECRET_KEY):
    return BasicCredentials(access_key, secret_key).with_iam_endpoint(URL)


def client_of_region(credentials, region=REGION, url=URL):
    """A client that, not knowing its project, asks IAM for the one named as the region."""
    builder = swr.SwrClient.new_builder().with_credentials(credentials)
    return builder.with_region(Region(region, url)).build()


def in_path(repository):
    """A repository's name as the SDK takes it in paths, where `$` stands for `/`."""
    return repository.replace("/", "$")


def control(method, path, body=None, token=TOKEN):
    """Asks the emulator for what SWR does not have, and so neither its SDK."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
    with urlopen(Request(f"{URL}{path}", data, headers, method=method)) as answer:
        return json.load(answer)


class Harness:
    """The base of all chapters. The classes that run them supply what is None here."""

    # The client of the built-in user.
    client = None
    # An account of seed.yaml whose totals no other test class changes.
    lone_account = None

    def connect(self, access_key, secret_key, region=REGION, url=URL):
        """A client of somebody else, or of another region, that finds its project the same way."""
        raise NotImplementedError

    # Arranging

    def new_organization(self, client=None):
        name = f"python-{secrets.token_hex(8)}"
        self.create_organization(name, client)
        self.addCleanup(self.remove_organization, name, client)
        return name

    def new_repository(self, organization, name="library/nginx", client=None, **attributes):
        attributes.setdefault("is_public", False)
        body = swr.CreateRepoRequestBody(repository=name, **attributes)
        return (client or self.client).create_repo(swr.CreateRepoRequest(organization, body))

    def new_organization_with_repository(self, name="library/nginx"):
        organization = self.new_organization()
        self.new_repository(organization, name)
        return organization

    def remove_organization(self, name, client=None):
        """Removes what a test left behind; a test may have removed the organization itself."""
        client = client or self.client
        try:
            request = swr.ListReposDetailsRequest(namespace=name)
            for repository in self.entries(client.list_repos_details(request)):
                client.delete_repo(swr.DeleteRepoRequest(name, in_path(repository.name)))
            client.delete_namespaces(swr.DeleteNamespacesRequest(name))
        except ClientRequestException as error:
            self.assertEqual(error.status_code, 404, error)

    def push(self, organization, tag, repository="library/nginx", nonce=None, token=TOKEN):
        """Pushes a small image, the same for the same nonce; its digest."""
        body = {"namespace": organization, "repository": repository, "tag": tag}
        body["nonce"] = tag if nonce is None else nonce
        return control("POST", "/_emulator/push", body, token)["digest"]

    # Acting

    def create_organization(self, name, client=None):
        body = swr.CreateNamespaceRequestBody(namespace=name)
        return (client or self.client).create_namespace(swr.CreateNamespaceRequest(body))

    def show_repository(self, organization, name="library/nginx", client=None):
        request = swr.ShowRepositoryRequest(organization, in_path(name))
        return (client or self.client).show_repository(request)

    def list_repositories(self, **parameters):
        return self.client.list_repos_details(swr.ListReposDetailsRequest(**parameters))

    def show_tag(self, organization, tag, repository="library/nginx", client=None):
        request = swr.ShowRepoTagRequest(organization, in_path(repository), tag)
        return (client or self.client).show_repo_tag(request)

    def list_tags(self, organization, repository="library/nginx", **parameters):
        request = swr.ListRepositoryTagsRequest(organization, in_path(repository), **parameters)
        return self.client.list_repository_tags(request)

    # Asserting

    def entries(self, listed):
        """The entries of an answer that is a list, which the SDK shows as None if it is empty."""
        if listed.body is None:
            self.assertEqual(listed.to_json_object(), [])
        return listed.body or []

    def names(self, listed):
        return [entry.name for entry in self.entries(listed)]

    def tags(self, listed):
        return [entry.tag for entry in self.entries(listed)]

    def assert_empty_object(self, status, response):
        """A write's answer is `{}`."""
        self.assertEqual((response.status_code, response.raw_content), (status, b"{}"))

    def assert_no_content(self, response):
        self.assertEqual((response.status_code, response.raw_content), (204, b""))

    def assert_refused(self, status, code, operation, *arguments, **keywords):
        """The SDK reports this status and code, and the request's id; returns the message."""
        with self.assertRaises(ServiceResponseException) as caught:
            operation(*arguments, **keywords)
        error = caught.exception
        self.assertEqual((error.status_code, error.error_code), (status, code), error)
        self.assertRegex(error.request_id, REQUEST_ID)
        self.assertTrue(error.error_msg)
        return error.error_msg
