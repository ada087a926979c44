"""The Python client oras against a running emulator: artifacts that are no images.

The registry's address, a user and a password come from the environment; the organization `group`
has to exist. Each test pushes to a repository of its own, and works as a program would: one client,
which logs in once. The configuration is that of docker, whose folder DOCKER_CONFIG names.
"""

import os
import secrets
import tempfile
import unittest
from pathlib import Path

from oras.client import OrasClient

HOST = os.environ["REGISTRY_HOST"]
USER = os.environ["REGISTRY_USER"]
PASSWORD = os.environ["REGISTRY_PASSWORD"]


class Oras(unittest.TestCase):
    def setUp(self):
        # The client takes files below its working directory only.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        self.repository = f"{HOST}/group/artifacts/{secrets.token_hex(4)}"
        self.client = OrasClient(hostname=HOST, insecure=True)
        config = os.path.join(os.environ["DOCKER_CONFIG"], "config.json")
        self.client.login(username=USER, password=PASSWORD, hostname=HOST, config_path=config)

    def new_files(self):
        """Two files with contents that no registry has yet."""
        contents = {"data.bin": secrets.token_bytes(100_000), "note.txt": secrets.token_bytes(10)}
        for name, content in contents.items():
            Path(name).write_bytes(content)
        return contents

    def pulled(self, tag):
        paths = self.client.pull(target=f"{self.repository}:{tag}", outdir=f"pulled-{tag}")
        return {os.path.basename(path): Path(path).read_bytes() for path in paths}

    def test_what_was_pushed_is_listed_and_pulled_back(self):
        files = self.new_files()
        pushed = self.client.push(target=f"{self.repository}:v1", files=list(files))
        self.assertEqual(pushed.status_code, 201)
        self.assertEqual(self.client.get_tags(self.repository), ["v1"])
        self.assertEqual(self.pulled("v1"), files)

    def test_layers_are_pushed_in_chunks(self):
        files = self.new_files()
        pushed = self.client.push(
            target=f"{self.repository}:v1", files=list(files), do_chunked=True, chunk_size=30_000
        )
        self.assertEqual(pushed.status_code, 201)
        self.assertEqual(self.pulled("v1"), files)


if __name__ == "__main__":
    unittest.main(verbosity=2)
