import { describe as inWords, verdictOf } from './dependencies.ts';

const report = (vulnerabilities: object) =>
  JSON.stringify({ vulnerabilities, metadata: { dependencies: { total: 500 } } });

it('a report without severe holes is clean', () => {
  expect(verdictOf(report({}))).toEqual({ kind: 'clean', dependencies: 500 });
  expect(verdictOf(report({ left: { severity: 'moderate', range: '<1' } }))).toMatchObject({ kind: 'clean' });
});

it('a severe hole is named', () => {
  const verdict = verdictOf(
    report({ left: { severity: 'high', range: '<1' }, right: { severity: 'critical', range: '*' } }),
  );
  expect(verdict).toEqual({ kind: 'holes', packages: ['left <1 (high)', 'right * (critical)'] });
  expect(inWords(verdict)).toContain('left <1 (high)');
});

it.each([
  ['a registry that refuses', '{"message":"405 Method Not Allowed - POST https://registry","statusCode":405}', '405'],
  ['no network', '{"error":{"code":"ENOTFOUND","summary":"getaddrinfo ENOTFOUND"}}', 'ENOTFOUND'],
  ['nothing printed', '', 'no report'],
  ['half a report', '{"vulnerabilities":{}}', 'no report'],
])('%s is not taken for clean, and is told', (_name, printed, reason) => {
  const verdict = verdictOf(printed);
  expect(verdict.kind).toBe('unknown');
  expect(inWords(verdict)).toContain('NOT CHECKED');
  expect(inWords(verdict)).toContain(reason);
});
