"""Image sync to the other region of seed.yaml, where images really arrive."""

import secrets

from huaweicloudsdkswr import v2 as swr

from .harness import (
    ACCESS_KEY,
    ACCOUNT,
    EAST_REGION,
    EAST_URL,
    MOMENT,
    SECRET_KEY,
    USER,
    Harness,
    control,
    in_path,
)

# The organization there.
MIRROR = "mirror"


class Sync(Harness):
    # Arranging

    def new_synced_repository(self):
        """A repository of a name that the mirror does not have, and its organization."""
        organization, name = self.new_organization(), f"library/{secrets.token_hex(8)}"
        self.new_repository(organization, name)
        return organization, in_path(name)

    def in_the_east(self):
        return self.connect(ACCESS_KEY, SECRET_KEY, EAST_REGION, EAST_URL)

    # Acting

    def create_task(self, path, region=EAST_REGION, sync_auto=True, override=True):
        body = swr.CreateImageSyncRepoRequestBody(region, MIRROR, sync_auto, override)
        return self.client.create_image_sync_repo(swr.CreateImageSyncRepoRequest(*path, body))

    def list_tasks(self, path):
        request = swr.ListImageAutoSyncReposDetailsRequest(*path)
        return self.client.list_image_auto_sync_repos_details(request)

    def delete_task(self, path):
        body = swr.DeleteImageSyncRepoRequestBody(EAST_REGION, MIRROR)
        return self.client.delete_image_sync_repo(swr.DeleteImageSyncRepoRequest(*path, body))

    def sync_images(self, path, tags, region=EAST_REGION):
        body = swr.CreateManualImageSyncRepoRequestBody(
            image_tag=tags, override=False, remote_namespace=MIRROR, remote_region_id=region
        )
        request = swr.CreateManualImageSyncRepoRequest(*path, body)
        return self.client.create_manual_image_sync_repo(request)

    def list_jobs(self, path, filter_="limit::10|offset::0"):
        return self.client.show_sync_job(swr.ShowSyncJobRequest(*path, filter_))

    def arrived(self, path, tag):
        """The digest that a tag has in the other region."""
        east = self.in_the_east()
        request = swr.DeleteRepoRequest(MIRROR, path[1])
        self.addCleanup(east.delete_repo, request)
        return self.show_tag(MIRROR, tag, path[1], east).digest

    # Tests

    def test_the_other_regions_are_listed(self):
        listed = self.client.list_sync_regions(swr.ListSyncRegionsRequest())
        self.assertEqual([region.region_id for region in listed.body], [EAST_REGION])

    def test_a_task_takes_what_is_pushed_to_the_other_region(self):
        path = self.new_synced_repository()
        organization, name = path[0], path[1].replace("$", "/")
        self.assertEqual(self.entries(self.list_tasks(path)), [])
        self.assertEqual(self.entries(self.list_jobs(path)), [])

        self.assert_empty_object(200, self.create_task(path))
        digest = self.push(organization, "v1", name)
        control("GET", "/_emulator/idle?timeout=60s")

        self.assertEqual(self.arrived(path, "v1"), digest)
        domain_id = self.show_repository(organization, name).domain_id
        tasks, jobs = self.entries(self.list_tasks(path)), self.list_jobs(path)
        self.assertEqual((len(tasks), len(jobs.body), jobs.content_range), (1, 1, "0-1/1"))
        task, job = tasks[0], jobs.body[0]
        for entry in [task, job]:
            self.assertEqual((entry.namespace, entry.repo_name), (organization, name))
            self.assertEqual((entry.domain_id, entry.domain_name), (domain_id, ACCOUNT))
            self.assertEqual(entry.remote_namespace, MIRROR)
            self.assertEqual(entry.remote_region_id, EAST_REGION)
            self.assertIs(entry.override, True)
            self.assertIsInstance(entry.id, int)
            self.assertRegex(entry.created_at, MOMENT)
            self.assertRegex(entry.updated_at, MOMENT)
        self.assertIs(task.sync_auto, True)
        self.assertEqual((job.tag, job.status), ("v1", "success"))
        self.assertEqual(job.sync_operator_name, USER)
        self.assertRegex(job.sync_operator_id, r"^[0-9a-f]{32}$")

    def test_a_deleted_task_takes_nothing_more(self):
        path = self.new_synced_repository()
        self.create_task(path)
        self.assert_empty_object(200, self.delete_task(path))
        self.push(path[0], "v1", path[1].replace("$", "/"))
        control("GET", "/_emulator/idle?timeout=60s")
        self.assertEqual(self.entries(self.list_tasks(path)), [])
        self.assertEqual(self.entries(self.list_jobs(path)), [])

    def test_a_task_without_auto_sync_is_not_listed(self):
        path = self.new_synced_repository()
        self.create_task(path, sync_auto=False)
        self.assertEqual(self.entries(self.list_tasks(path)), [])
        self.assert_empty_object(200, self.delete_task(path))

    def test_tags_are_taken_by_hand(self):
        path = self.new_synced_repository()
        organization, name = path[0], path[1].replace("$", "/")
        digest = self.push(organization, "v1", name)

        failed = self.sync_images(path, ["v1", "missing"])
        self.assertEqual(failed.status_code, 200)
        self.assertEqual(self.entries(failed), [])
        control("GET", "/_emulator/idle?timeout=60s")

        self.assertEqual(self.arrived(path, "v1"), digest)
        self.sync_images(path, ["v1"])
        control("GET", "/_emulator/idle?timeout=60s")

        def check(filter_, content_range, expected):
            jobs = self.list_jobs(path, filter_)
            self.assertEqual([(job.tag, job.status) for job in jobs.body], expected)
            self.assertEqual(jobs.content_range, content_range)

        oldest, newest = [("v1", "success"), ("missing", "failed")], [("v1", "existed")]
        check("limit::10|offset::0|order::asc", "0-3/3", oldest + newest)
        check("limit::1|offset::0|order::desc", "0-1/3", newest)
        check("limit::2|offset::2|order::desc", "2-1/3", oldest[:1])

    def test_what_cannot_be_synced_is_refused(self):
        path = self.new_synced_repository()
        self.assert_refused(500, "SVCSTG.SWR.5001101", self.create_task, path, "eu-west-0")
        self.assert_refused(500, "SVCSTG.SWR.5001101", self.sync_images, path, ["v1"], "eu-west-0")
        self.assert_refused(400, "SVCSTG.SWR.4001158", self.delete_task, path)
        self.assert_refused(400, "SVCSTG.SWR.4001035", self.list_jobs, path, "nonsense")
        missing = (path[0], "missing")
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.create_task, missing)
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.list_tasks, missing)
        self.assert_refused(404, "SVCSTG.SWR.4040010", self.list_jobs, missing)
