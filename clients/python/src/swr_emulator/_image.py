"""Images: their names, and a push of a small one as a client of registries does it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass

from ._http import Connection

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class ImageName:
    """`organization/repository:tag`."""

    namespace: str
    repository: str
    tag: str

    @staticmethod
    def parse(text: str, registry: str = "") -> ImageName:
        """Reads a name, before which the registry may stand."""
        path = text.removeprefix(f"{registry}/") if registry else text
        path, _, tag = path.partition(":")
        namespace, _, repository = path.partition("/")
        if not (namespace and repository and tag):
            raise ValueError(f"{text!r} is not the name of an image, like group/busybox:v2")
        return ImageName(namespace, repository, tag)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.repository}:{self.tag}"

    def query(self) -> dict[str, object]:
        """The parameters that name it."""
        return {"namespace": self.namespace, "repository": self.repository, "tag": self.tag}


def push(url: str, login: tuple[str, str], name: ImageName, content: str) -> str:
    """Pushes an image with one file, which has this content; its digest."""
    layer = _layer(content)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    path = f"{name.namespace}/{name.repository}"
    with Connection(url, {"Authorization": f"Bearer {_token(url, login, path)}"}) as registry:
        for blob in (config, layer):
            started = registry.send("POST", f"/v2/{path}/blobs/uploads/", body=b"")
            location = started.headers["location"].removeprefix(url)
            kind = {"Content-Type": "application/octet-stream"}
            registry.send("PUT", location, {"digest": _digest(blob)}, blob, kind)
        kind = {"Content-Type": _MANIFEST}
        registry.send("PUT", f"/v2/{path}/manifests/{name.tag}", body=manifest, headers=kind)
    return _digest(manifest)


def _token(url: str, login: tuple[str, str], path: str) -> str:
    basic = base64.b64encode(":".join(login).encode()).decode()
    query = {"service": "dockyard", "scope": f"repository:{path}:pull,push"}
    with Connection(url, {"Authorization": f"Basic {basic}"}) as service:
        answer = service.send("GET", "/swr/auth/v2/registry/auth/", query)
    return str(answer.json()["token"])


def _layer(content: str) -> bytes:
    archive = io.BytesIO()
    data = content.encode()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        file = tarfile.TarInfo("content")
        file.size = len(data)
        tar.addfile(file, io.BytesIO(data))
    return archive.getvalue()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
