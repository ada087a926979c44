// What the emulator tells of pushes and requests, as text.

/** The decision record of a push: a line for it and one for each trigger. */
export function describePush(image, push) {
  const lines = [`push ${push.id} of ${image} by ${push.pushed_by} (${push.digest}):`];
  lines.push(...push.triggers.map((decision) => `  ${describe(decision)}`));
  if (push.triggers.length === 0) {
    lines.push('  the repository had no triggers');
  }
  const unnamed = push.trigger_count - push.triggers.length;
  if (unnamed > 0) {
    lines.push(`  and ${unnamed} more triggers`);
  }
  if (push.page && push.triggers.some(({ fires, result }) => fires && result !== 'success')) {
    lines.push(`  see ${push.page}`);
  }
  return lines;
}

function describe(decision) {
  const { trigger, fires, reason, result, detail, tries = 1, last_answer: last, rollout } = decision;
  if (!fires) {
    return `${trigger} did not fire: ${reason}`;
  }
  if (result === undefined) {
    return `${trigger} fired: ${reason}${last === undefined ? '' : ` (last answer: ${last})`}`;
  }
  const text = `${trigger} fired: ${result}${detail ? `, ${detail}` : ''}`;
  const told = tries === 1 ? text : `${text} (${tries} tries)`;
  if (rollout === undefined || rollout.state === 'healthy') {
    return told;
  }
  const parts = [rollout.state, rollout.reason, rollout.message].filter((part) => part !== '');
  return `${told}; rollout ${parts.join(': ')}`;
}

/**
 * Requests that were refused, but for what is no sign of a fault: the challenge that begins each
 * login at the registry, and this package's own questions.
 */
export function refused(requests) {
  return requests.filter(
    ({ status, operation }) =>
      !(status >= 100 && status < 400) &&
      !(operation === 'Base' && status === 401) &&
      !operation.startsWith('Emulator'),
  );
}

export function describeRequest({ status, method, path, operation, code, message }) {
  const line = `${status || 'cut'} ${method} ${path} ${operation}`;
  return code === null ? line : `${line} ${code}: ${message}`;
}
