"""Retention rules, what they delete, and its history."""

import json

from huaweicloudsdkswr import v2 as swr

from .harness import MOMENT, Harness


def rule(template, params, **selectors):
    """A rule with the exceptions that are given by their kinds."""
    selectors = [swr.TagSelector(kind, pattern) for kind, pattern in selectors.items()]
    return swr.Rule(template, params, selectors)


def newest(num, **selectors):
    return rule("tag_rule", {"num": str(num)}, **selectors)


class Retention(Harness):
    # Acting

    def create_retention(self, organization, *rules, algorithm="or"):
        body = swr.CreateRetentionRequestBody(algorithm, list(rules))
        request = swr.CreateRetentionRequest(organization, "library$nginx", body)
        return self.client.create_retention(request)

    def list_retentions(self, organization):
        request = swr.ListRetentionsRequest(organization, "library$nginx")
        return self.client.list_retentions(request)

    def show_retention(self, organization, retention_id):
        request = swr.ShowRetentionRequest(organization, "library$nginx", retention_id)
        return self.client.show_retention(request)

    def update_retention(self, organization, retention_id, *rules):
        body = swr.UpdateRetentionRequestBody("or", list(rules))
        request = swr.UpdateRetentionRequest(organization, "library$nginx", retention_id, body)
        return self.client.update_retention(request)

    def delete_retention(self, organization, retention_id):
        request = swr.DeleteRetentionRequest(organization, "library$nginx", retention_id)
        return self.client.delete_retention(request)

    def list_histories(self, organization, **parameters):
        request = swr.ListRetentionHistoriesRequest(organization, "library$nginx", **parameters)
        return self.client.list_retention_histories(request)

    # Tests

    def test_a_retention_is_created_shown_changed_and_deleted(self):
        organization = self.new_organization_with_repository()
        self.assertEqual(self.entries(self.list_retentions(organization)), [])
        rules = [
            rule("date_rule", {"days": "30"}, label="keep", regexp="^v2.*"),
            newest(10),
        ]

        created = self.create_retention(organization, *rules)
        self.assertEqual(created.status_code, 201)
        self.assertIsInstance(created.id, int)

        shown = self.show_retention(organization, created.id)
        self.assertEqual((shown.id, shown.algorithm, shown.scope), (created.id, "or", ""))
        self.assertEqual(shown.rules, rules)
        listed = self.list_retentions(organization).body
        self.assertEqual(len(listed), 1)
        self.assertEqual((listed[0].id, listed[0].algorithm), (created.id, "or"))
        self.assertEqual((listed[0].rules, listed[0].scope), (rules, ""))

        # Numbers come back as text.
        changes = [rule("date_rule", {"days": 7}), newest(5, regexp="^123$")]
        updated = self.update_retention(organization, created.id, *changes)
        self.assert_empty_object(201, updated)
        changes[0].params = {"days": "7"}
        self.assertEqual(self.show_retention(organization, created.id).rules, changes)

        deleted = self.delete_retention(organization, created.id)
        self.assert_empty_object(200, deleted)
        self.assertEqual(self.entries(self.list_retentions(organization)), [])

    def test_a_rule_deletes_at_once_and_after_each_push_and_tells_what(self):
        organization = self.new_organization()
        for tag in ["keep", "v1", "v2", "v3"]:
            self.push(organization, tag)

        created = self.create_retention(organization, newest(2, label="keep"))
        self.assertEqual(self.tags(self.list_tags(organization)), ["keep", "v2", "v3"])
        self.push(organization, "v4")
        self.assertEqual(self.tags(self.list_tags(organization)), ["keep", "v3", "v4"])
        self.update_retention(organization, created.id, newest(1, label="keep"))
        self.assertEqual(self.tags(self.list_tags(organization)), ["keep", "v4"])

        history = self.list_histories(organization)
        self.assertEqual([entry.tag for entry in history.retention_log], ["v3", "v2", "v1"])
        self.assertEqual((history.total, history.content_range), (3, "0-3/3"))
        entry = history.retention_log[-1]
        self.assertEqual((entry.namespace, entry.repo), (organization, "library/nginx"))
        self.assertEqual(entry.retention_id, created.id)
        self.assertRegex(entry.created_at, MOMENT)
        self.assertIsInstance(entry.id, int)
        executed = json.loads(entry.rule_type)
        self.assertEqual((executed["template"], executed["params"]), ("tag_rule", {"num": "2"}))
        self.assertEqual(executed["tag_selectors"], [{"kind": "label", "pattern": "keep"}])

        page = self.list_histories(organization, limit="1", offset="1")
        self.assertEqual([entry.tag for entry in page.retention_log], ["v2"])
        self.assertEqual((page.total, page.content_range), (3, "1-1/3"))
        filtered = self.list_histories(organization, filter="limit::2|offset::1")
        self.assertEqual([entry.tag for entry in filtered.retention_log], ["v2", "v1"])

    def test_a_repository_without_deletions_has_an_empty_history(self):
        history = self.list_histories(self.new_organization_with_repository())
        self.assertEqual((history.retention_log, history.total), ([], 0))
        self.assertEqual(history.content_range, "0-0/0")

    def test_a_faulty_second_or_missing_retention_is_refused(self):
        organization = self.new_organization_with_repository()

        def check(field, *rules, **changes):
            message = self.assert_refused(
                400,
                "SVCSTG.SWR.4000014",
                self.create_retention,
                organization,
                *rules,
                **changes,
            )
            self.assertTrue(message.startswith(field), message)

        check("algorithm: ", newest(1), algorithm="and")
        check("rules: ")
        check("template: ", rule("size_rule", {"num": "1"}))
        check("num: ", newest(1001))
        check("pattern: ", newest(1, regexp="("))
        missing = 2**53
        show, update = self.show_retention, self.update_retention
        self.assert_refused(404, "SVCSTG.SWR.4040083", show, organization, missing)
        self.assert_refused(404, "SVCSTG.SWR.4040083", update, organization, missing, newest(1))
        # The real service was seen to answer this, and Terraform to rely on it.
        self.assert_refused(
            400, "SVCSTG.SWR.4000306", self.delete_retention, organization, missing
        )
        self.create_retention(organization, newest(1))
        check("the repository already has a retention rule", newest(1))
