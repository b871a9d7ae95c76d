import { refusalOf, type SandboxFindings } from './refusal';

const findings: SandboxFindings = {
  policy: 'auto',
  level: 'none',
  reason: 'bubblewrap is not installed',
  platform: 'linux',
  hasBubblewrap: false,
  has: (program) => program === 'dnf',
};

describe('what is demanded of the sandbox', () => {
  it.each([
    ['auto', 'sandboxed', true],
    ['auto', 'restricted', true],
    ['auto', 'none', false],
    ['required', 'sandboxed', true],
    ['required', 'restricted', false],
    ['required', 'none', false],
    ['optional', 'restricted', true],
    ['optional', 'none', true],
    ['off', 'none', true],
  ] as const)('%s: apps on the level %s are started: %s', (policy, level, isStarted) => {
    expect(refusalOf({ ...findings, policy, level }) === null).toBe(isStarted);
  });

  it('says what is missing, the command of this system, and how to do without', () => {
    expect(refusalOf(findings)).toBe(
      'Apps are not started without a sandbox, and this machine has none: bubblewrap is not installed. ' +
        'Install it with `sudo dnf install bubblewrap`; or ALTO_SANDBOX=optional lets apps run without one, ' +
        'with all that the user of Alto may do; then start Alto anew (`alto down`, `alto up`).',
    );
    expect(refusalOf({ ...findings, has: () => false })).toContain('Install the package bubblewrap; or ALTO_SANDBOX=');
  });

  it('names no package where there is none, or where it is installed and may not do its work', () => {
    const elsewhere = refusalOf({ ...findings, platform: 'darwin', reason: 'bubblewrap runs on Linux alone' });
    expect(elsewhere).toMatch(/runs on Linux alone\. ALTO_SANDBOX=optional lets apps/);
    const forbidden = refusalOf({ ...findings, hasBubblewrap: true, reason: 'bubblewrap does not work here: …' });
    expect(forbidden).toMatch(/docs\/runbooks\/app-sandbox\.md says what it needs; or ALTO_SANDBOX=optional/);
  });

  it('says that the operator demands the strongest', () => {
    const refusal = refusalOf({ ...findings, policy: 'required', level: 'restricted', reason: 'nft not found' });
    expect(refusal).toBe(
      'Apps may only run sandboxed here (ALTO_SANDBOX=required), and this machine cannot: nft not found.',
    );
  });
});
