// The account: its quota, totals, reports and switches.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { assertRefused, assertStartsWith, keys, swr } from './harness.mjs';

/** `name` is that of an account of seed.yaml that nobody else uses. */
export function account(harness, name) {
  const { connect, newOrganization, inRepository, push } = harness;

  const alone = () => connect(keys(name.toUpperCase(), `${name}-secret`));

  function showReport(by, resourceType, frequency) {
    return by.showDomainResourceReports(
      new swr.ShowDomainResourceReportsRequest()
        .withResourceType(resourceType)
        .withFrequency(frequency),
    );
  }

  it('counts organizations for the quota', async (test) => {
    const client = alone();
    const check = async (used) => {
      const { quotas } = await client.listQuotas(new swr.ListQuotasRequest());
      assert.deepEqual(quotas, [{ quota_key: 'namespace', quota_limit: 1000, unit: '', used }]);
    };
    await check(0);
    await newOrganization(test, client);
    await check(1);
  });

  it('tells in the overview and in reports what the account has', async (test) => {
    const client = alone();
    const organization = await newOrganization(test, client);
    await push(organization, 'v1', { token: name });
    await push(organization, 'v2', { token: name });
    const repository = await client.showRepository(
      inRepository(new swr.ShowRepositoryRequest(), organization),
    );

    const shown = await client.showDomainOverview(new swr.ShowDomainOverviewRequest());
    assert.deepEqual(
      { ...shown },
      {
        domain_id: repository.domain_id,
        domain_name: name,
        namspace_num: 1,
        repo_num: 1,
        image_num: 2,
        store_space: repository.size,
        downflow_size: 0,
        httpStatusCode: 200,
      },
    );
    for (const [resourceType, total] of [
      ['store', repository.size],
      ['downflow', 0],
    ]) {
      const report = await showReport(client, resourceType, 'daily');
      assert.equal(report.length, 30);
      assert.ok(report.every(({ date }) => /^\d{4}-\d\d-\d\d$/.test(date)));
      assert.deepEqual([report[0].value, report[29].value], [0, total]);
    }
  });

  it('refuses a report that does not exist', async () => {
    const code = 'SVCSTG.SWR.4000014';
    const uploads = await assertRefused(400, code, showReport(alone(), 'uploads', 'daily'));
    assertStartsWith(uploads, 'resource_type: ');
    const hourly = await assertRefused(400, code, showReport(alone(), 'store', 'hourly'));
    assertStartsWith(hourly, 'frequency: ');
  });

  it('has the switches on for what is emulated', async () => {
    const shown = await alone().showShareFeatureGates(new swr.ShowShareFeatureGatesRequest());
    assert.equal(shown.httpStatusCode, 200);
    const on = Object.keys(shown).filter((key) => shown[key] === true);
    const off = Object.keys(shown).filter((key) => shown[key] === false);
    for (const key of ['enable_image_sync', 'enable_cci_service', 'enable_list_v3']) {
      assert.ok(on.includes(key), key);
    }
    for (const key of ['enable_experience', 'enable_image_scan', 'enable_image_quota']) {
      assert.ok(off.includes(key), key);
    }
  });
}
