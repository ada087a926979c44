"""Triggers."""

from huaweicloudsdkswr import v2 as swr

from .harness import MOMENT, USER, Harness


def trigger_body(**changes):
    """A trigger that is accepted, with some fields changed, or left out where None is given."""
    fields = {
        "action": "update",
        "app_type": "deployments",
        "application": "web",
        "cluster_id": "5b28c12f-dc10-11e9-97b3-0255ac1001b5",
        "cluster_name": "test",
        "cluster_ns": "default",
        "condition": ".*",
        "container": "app",
        "enable": "true",
        "name": "deploy",
        "trigger_mode": "cce",
        "trigger_type": "all",
        **changes,
    }
    given = {field: value for field, value in fields.items() if value is not None}
    return swr.CreateTriggerRequestBody(**given)


class Triggers(Harness):
    # Acting

    def create_trigger(self, organization, body, repository="library$nginx"):
        request = swr.CreateTriggerRequest(organization, repository, body)
        return self.client.create_trigger(request)

    def list_triggers(self, organization, repository="library$nginx"):
        request = swr.ListTriggersDetailsRequest(organization, repository)
        return self.client.list_triggers_details(request)

    def show_trigger(self, organization, name, repository="library$nginx"):
        request = swr.ShowTriggerRequest(organization, repository, name)
        return self.client.show_trigger(request)

    def update_trigger(self, organization, name, enable, repository="library$nginx"):
        body = swr.UpdateTriggerRequestBody(enable=enable)
        request = swr.UpdateTriggerRequest(organization, repository, name, body)
        return self.client.update_trigger(request)

    def delete_trigger(self, organization, name, repository="library$nginx"):
        request = swr.DeleteTriggerRequest(organization, repository, name)
        return self.client.delete_trigger(request)

    def assert_is(self, trigger, body):
        """The trigger has each field that the body gave."""
        for field in body.attribute_map:
            if getattr(body, field) is not None:
                self.assertEqual(getattr(trigger, field), getattr(body, field), field)

    # Tests

    def test_a_trigger_is_created_and_shown_with_every_field(self):
        organization = self.new_organization_with_repository()
        body = trigger_body()

        created = self.create_trigger(organization, body)
        self.assertEqual((created.status_code, created.to_json_object()), (201, {}))

        shown = self.show_trigger(organization, "deploy")
        self.assertEqual(shown.status_code, 200)
        self.assert_is(shown, body)
        self.assertEqual((shown.creator_name, shown.trigger_history), (USER, []))
        self.assertRegex(shown.created_at, MOMENT)

    def test_a_trigger_of_each_type_is_created(self):
        organization = self.new_organization_with_repository()
        bodies = [
            trigger_body(name="every"),
            trigger_body(name="tags", trigger_type="tag", condition="v1;v1.1;latest"),
            trigger_body(
                name="expression",
                trigger_type="regular",
                condition=r"^v\d+(\.[0-9]+)?$",
                app_type="statefulsets",
                enable="false",
            ),
        ]
        for body in bodies:
            self.create_trigger(organization, body)
            self.assert_is(self.show_trigger(organization, body.name), body)

    def test_a_trigger_without_its_optional_fields_gets_the_defaults(self):
        organization = self.new_organization_with_repository()
        optional = ["cluster_id", "cluster_name", "container", "trigger_mode"]
        self.create_trigger(organization, trigger_body(**dict.fromkeys(optional)))

        shown = self.show_trigger(organization, "deploy")
        self.assertEqual(shown.trigger_mode, "cce")
        self.assertEqual((shown.cluster_id, shown.cluster_name, shown.container), ("", "", ""))

    def test_a_trigger_for_cci_names_no_cluster(self):
        organization = self.new_organization_with_repository()
        body = trigger_body(trigger_mode="cci", cluster_id=None, cluster_name=None)
        self.create_trigger(organization, body)

        shown = self.show_trigger(organization, "deploy")
        self.assert_is(shown, body)
        self.assertEqual((shown.cluster_id, shown.cluster_name), ("", ""))

    def test_triggers_are_listed_without_their_history(self):
        organization = self.new_organization_with_repository()
        self.assertEqual(self.entries(self.list_triggers(organization)), [])
        bodies = [trigger_body(name="second"), trigger_body(name="first", enable="false")]
        for body in bodies:
            self.create_trigger(organization, body)

        listed = self.list_triggers(organization).body
        self.assertEqual(len(listed), len(bodies))
        for trigger, body in zip(listed, bodies):
            self.assert_is(trigger, body)
            self.assertEqual(trigger.creator_name, USER)
            self.assertIsNone(trigger.trigger_history)
            shown = self.show_trigger(organization, body.name)
            self.assertEqual(trigger.created_at, shown.created_at)

    def test_a_trigger_is_disabled_and_enabled(self):
        organization = self.new_organization_with_repository()
        body = trigger_body()
        self.create_trigger(organization, body)
        created_at = self.show_trigger(organization, "deploy").created_at

        for enable in ["false", "true"]:
            updated = self.update_trigger(organization, "deploy", enable)
            self.assertEqual((updated.status_code, updated.to_json_object()), (201, {}))
            body.enable = enable
            shown = self.show_trigger(organization, "deploy")
            self.assert_is(shown, body)
            self.assertEqual(shown.created_at, created_at)

    def test_a_deleted_trigger_is_gone(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body(name="kept"))
        self.create_trigger(organization, trigger_body())

        deleted = self.delete_trigger(organization, "deploy")
        self.assertEqual((deleted.status_code, deleted.raw_content), (204, b""))
        self.assertEqual(self.names(self.list_triggers(organization)), ["kept"])

    def test_a_missing_trigger_is_reported_by_each_operation(self):
        organization = self.new_organization_with_repository()
        code = "SVCSTG.SWR.4040126"
        self.assert_refused(404, code, self.show_trigger, organization, "missing")
        self.assert_refused(404, code, self.update_trigger, organization, "missing", "true")
        self.assert_refused(404, code, self.delete_trigger, organization, "missing")

    def test_a_missing_repository_or_organization_is_reported_by_each_trigger_operation(self):
        organization = self.new_organization()
        for name, code in [
            (organization, "SVCSTG.SWR.4040010"),
            ("python-missing", "SVCSTG.SWR.4040058"),
        ]:
            self.assert_refused(404, code, self.create_trigger, name, trigger_body())
            self.assert_refused(404, code, self.list_triggers, name)
            self.assert_refused(404, code, self.show_trigger, name, "deploy")
            self.assert_refused(404, code, self.update_trigger, name, "deploy", "true")
            self.assert_refused(404, code, self.delete_trigger, name, "deploy")

    def test_a_trigger_that_exists_is_not_created_again(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body())
        message = self.assert_refused(
            400, "SVCSTG.SWR.4000014", self.create_trigger, organization, trigger_body()
        )
        self.assertTrue(message.startswith("name: "), message)

    def test_a_faulty_trigger_is_refused_by_the_name_of_its_field(self):
        organization = self.new_organization_with_repository()

        def check(field, **changes):
            message = self.assert_refused(
                400,
                "SVCSTG.SWR.4000014",
                self.create_trigger,
                organization,
                trigger_body(**changes),
            )
            self.assertTrue(message.startswith(f"{field}: "), message)

        check("condition", condition="v1")
        check("condition", trigger_type="tag", condition="v1;;v2")
        check("condition", trigger_type="regular", condition="(")
        check("condition", condition=None)
        check("enable", enable=True)
        check("name", name="1")
        check("cluster_id", trigger_mode="cci")
        self.assertEqual(self.entries(self.list_triggers(organization)), [])

    def test_triggers_go_with_their_repository(self):
        organization = self.new_organization_with_repository()
        self.create_trigger(organization, trigger_body())
        self.client.delete_repo(swr.DeleteRepoRequest(organization, "library$nginx"))
        self.new_repository(organization)
        self.assertEqual(self.entries(self.list_triggers(organization)), [])
