import { Output } from './output';

const rows = [['postgres.0', 'ready', 'a reason in so many words that no narrow terminal has room for it on a line']];

function tableAt(columns: number | undefined): string {
  const terminal = { write: () => true, isTTY: true, columns };
  return new Output(terminal, terminal, false).table(['WORKLOAD', 'STATE', 'REASON'], rows);
}

describe('a table on a terminal', () => {
  it('fits its width', () => {
    const lines = tableAt(60).split('\n');
    expect(lines[1]).toMatch(/^postgres\.0 {2}ready {2}a reason .*…$/);
    expect(lines[1]).toHaveLength(60);
  });

  it.each([undefined, 0])('that does not know its width (%p) shows every name whole', (columns) => {
    expect(tableAt(columns)).toContain('postgres.0  ready  a reason in so many words');
  });
});
