"""Temporary logins to the registry, which accepts them."""

import base64
from datetime import datetime, timedelta, timezone
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from huaweicloudsdkswr import v2 as swr

from .harness import REGION, URL, Harness


def log_in(user, password):
    """The status of the registry's token service for a login."""
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = Request(
        f"{URL}/swr/auth/v2/registry/auth/", headers={"Authorization": f"Basic {encoded}"}
    )
    try:
        with urlopen(request) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


class Login(Harness):
    # Acting

    def create_secret(self, **parameters):
        return self.client.create_secret(swr.CreateSecretRequest(**parameters))

    # Asserting

    def assert_logs_in(self, response, project):
        """The command, the expiry and the body tell of one login, which the registry accepts."""
        docker, login, _, user, _, password, host = response.x_swr_dockerlogin.split(" ")
        self.assertEqual((docker, login), ("docker", "login"))
        self.assertRegex(user, rf"^{project}@[0-9A-Z]+$")
        self.assertEqual(list(response.auths), [host])
        auth = base64.b64decode(response.auths[host].auth).decode()
        self.assertEqual(auth, f"{user}:{password}")
        expiry = datetime.fromisoformat(response.x_swr_expireat.replace("Z", "+00:00"))
        left = expiry - datetime.now(timezone.utc)
        self.assertTrue(timedelta(hours=1) < left <= timedelta(hours=24), left)
        self.assertEqual(log_in(user, password), 200)
        self.assertEqual(log_in(user, password[::-1]), 401)

    # Tests

    def test_a_secret_logs_in(self):
        self.assert_logs_in(self.create_secret(), REGION)
        self.assert_logs_in(self.create_secret(projectname="my-project"), "my-project")

    def test_an_authorization_token_logs_in(self):
        request = swr.CreateAuthorizationTokenRequest()
        self.assert_logs_in(self.client.create_authorization_token(request), "bearertoken")

    def test_a_project_needs_a_lawful_name(self):
        self.assert_refused(400, "SVCSTG.SWR.4001025", self.create_secret, projectname="a b")
