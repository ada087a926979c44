# All nine resources of SWR Basic Edition that the provider huaweicloud/huaweicloud has, against an
# emulator that was started with seed.yaml beside this file:
#
#   swr-emulator --ephemeral --seed seed.yaml
#   terraform init && terraform apply
#
# The sequences of requests behind each of them are tests: tests/it/terraform.rs.

terraform {
  required_providers {
    huaweicloud = {
      source = "huaweicloud/huaweicloud"
    }
  }
}

provider "huaweicloud" {
  region                  = "cn-north-4"
  access_key              = "SWREMULATOR000000001"
  secret_key              = "SwrEmulatorExampleSecretKey0000000000001"
  auth_url                = "http://127.0.0.1:7970/v3"
  skip_check_website_type = true
  max_retries             = 0
  endpoints = {
    swr = "http://127.0.0.1:7970"
    iam = "http://127.0.0.1:7970"
    cce = "http://127.0.0.1:7970"
  }
}

resource "huaweicloud_swr_organization" "group" {
  name = "group"
}

resource "huaweicloud_swr_organization_permissions" "developers" {
  organization = huaweicloud_swr_organization.group.name

  users {
    user_id    = "0000000000000000000000000000d001"
    user_name  = "developer"
    permission = "Write"
  }
}

resource "huaweicloud_swr_repository" "app" {
  organization = huaweicloud_swr_organization.group.name
  name         = "team/app"
  category     = "linux"
  description  = "What the pipeline builds"
}

resource "huaweicloud_swr_image_permissions" "auditors" {
  organization = huaweicloud_swr_organization.group.name
  repository   = huaweicloud_swr_repository.app.name

  users {
    user_id    = "0000000000000000000000000000d002"
    user_name  = "auditor"
    permission = "Read"
  }
}

resource "huaweicloud_swr_repository_sharing" "partner" {
  organization   = huaweicloud_swr_organization.group.name
  repository     = huaweicloud_swr_repository.app.name
  sharing_account = "partner"
  permission     = "pull"
  deadline       = "forever"
}

resource "huaweicloud_swr_image_trigger" "deploy" {
  organization    = huaweicloud_swr_organization.group.name
  repository      = huaweicloud_swr_repository.app.name
  name            = "deploy"
  workload_type   = "deployments"
  workload_name   = "app"
  namespace       = "default"
  condition_type  = "regular"
  condition_value = "^v2.*"
  cluster_id      = "5b28c12f-dc10-11e9-97b3-0255ac1001b5"
}

resource "huaweicloud_swr_image_retention_policy" "newest" {
  organization = huaweicloud_swr_organization.group.name
  repository   = huaweicloud_swr_repository.app.name
  type         = "tag_rule"
  number       = 20

  tag_selectors {
    kind    = "label"
    pattern = "latest"
  }
}

resource "huaweicloud_swr_image_auto_sync" "east" {
  organization        = huaweicloud_swr_organization.group.name
  repository          = huaweicloud_swr_repository.app.name
  target_region       = "cn-east-3"
  target_organization = "group"
  override            = true
}

# The tag v1 has to be there: push it, or
#   curl -H 'X-Auth-Token: swr-emulator' -H 'Content-Type: application/json' \
#     http://127.0.0.1:7970/_emulator/push \
#     -d '{"namespace":"group","repository":"team/app","tag":"v1"}'
resource "huaweicloud_swr_repository_tag" "stable" {
  count           = var.has_v1 ? 1 : 0
  organization    = huaweicloud_swr_organization.group.name
  repository      = huaweicloud_swr_repository.app.name
  source_tag      = "v1"
  destination_tag = "stable"
  override        = true
}

variable "has_v1" {
  description = "Whether team/app:v1 was pushed"
  type        = bool
  default     = false
}
