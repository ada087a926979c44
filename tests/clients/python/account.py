"""The account: its quota, totals, reports, switches and agency."""

import re

from huaweicloudsdkswr import v2 as swr

from .harness import Harness


class Account(Harness):
    # Arranging

    def alone(self):
        """A client of the account that nobody else uses."""
        return self.connect(self.lone_account.upper(), f"{self.lone_account}-secret")

    # Acting

    def show_report(self, resource_type, frequency, client=None):
        request = swr.ShowDomainResourceReportsRequest(resource_type, frequency)
        return (client or self.client).show_domain_resource_reports(request)

    # Tests

    def test_the_quota_counts_organizations(self):
        client = self.alone()

        def used():
            quotas = client.list_quotas(swr.ListQuotasRequest()).quotas
            self.assertEqual([quota.quota_key for quota in quotas], ["namespace"])
            self.assertEqual((quotas[0].quota_limit, quotas[0].unit), (1000, ""))
            return quotas[0].used

        self.assertEqual(used(), 0)
        self.new_organization(client)
        self.assertEqual(used(), 1)

    def test_the_overview_and_the_reports_tell_what_the_account_has(self):
        client = self.alone()
        organization = self.new_organization(client)
        self.push(organization, "v1", token=self.lone_account)
        self.push(organization, "v2", token=self.lone_account)
        repository = self.show_repository(organization, client=client)

        shown = client.show_domain_overview(swr.ShowDomainOverviewRequest())
        self.assertEqual(shown.domain_id, repository.domain_id)
        self.assertEqual(shown.domain_name, self.lone_account)
        self.assertEqual((shown.namspace_num, shown.repo_num, shown.image_num), (1, 1, 2))
        self.assertIsInstance(shown.store_space, float)
        self.assertEqual((shown.store_space, shown.downflow_size), (repository.size, 0))

        for resource_type, total in [("store", repository.size), ("downflow", 0)]:
            report = self.show_report(resource_type, "daily", client).body
            dates = [day.date for day in report]
            self.assertEqual((len(dates), dates), (30, sorted(set(dates))))
            self.assertTrue(all(re.match(r"^\d{4}-\d\d-\d\d$", date) for date in dates), dates)
            self.assertIsInstance(report[-1].value, float)
            self.assertEqual(report[-1].value, total)
            self.assertEqual(report[0].value, 0)

    def test_a_report_that_does_not_exist_is_refused(self):
        code = "SVCSTG.SWR.4000014"
        message = self.assert_refused(400, code, self.show_report, "uploads", "daily")
        self.assertTrue(message.startswith("resource_type: "), message)
        message = self.assert_refused(400, code, self.show_report, "store", "hourly")
        self.assertTrue(message.startswith("frequency: "), message)

    def test_the_switches_are_on_for_what_is_emulated(self):
        shown = self.client.show_share_feature_gates(swr.ShowShareFeatureGatesRequest())
        switches = {field: getattr(shown, field) for field in shown.attribute_map}
        on = {
            "enable_image_sync",
            "enable_cci_service",
            "enable_authorization_token",
            "enable_list_v3",
        }
        self.assertEqual(len(switches), 12)
        self.assertEqual(switches, {field: field in on for field in switches})

    def test_the_agency_is_made_once(self):
        client = self.alone()

        def check(expected):
            shown = client.check_agency(swr.CheckAgencyRequest())
            overview = client.show_domain_overview(swr.ShowDomainOverviewRequest())
            self.assertEqual((shown.is_agency, shown.domain_id), (expected, overview.domain_id))

        check(False)
        self.assert_no_content(client.create_agency(swr.CreateAgencyRequest()))
        check(True)
        request = swr.CreateAgencyRequest()
        self.assert_refused(409, "SVCSTG.SWR.4090089", client.create_agency, request)

    def test_only_an_administrator_makes_the_agency(self):
        operation = self.connect("DEV", "dev-secret").create_agency
        self.assert_refused(403, "SVCSTG.SWR.4030170", operation, swr.CreateAgencyRequest())
