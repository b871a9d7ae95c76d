import { outdatedLogs } from './ended-logs';

const DAY = 24 * 3_600_000;
const now = 100 * DAY;

describe('outdatedLogs', () => {
  it('keeps a log for seven days', () => {
    const logs = [
      { id: 'young', endedAtMs: now - 6 * DAY, bytes: 10 },
      { id: 'old', endedAtMs: now - 8 * DAY, bytes: 10 },
    ];
    expect(outdatedLogs(logs, now, 1_000)).toEqual(['old']);
  });

  it('lets the oldest make room', () => {
    const logs = [1, 2, 3, 4].map((age) => ({ id: `${age}`, endedAtMs: now - age, bytes: 400 }));
    expect(outdatedLogs(logs, now, 1_000)).toEqual(['3', '4']);
  });

  it('keeps a bounded number', () => {
    const logs = Array.from({ length: 1_002 }, (_, age) => ({ id: `${age}`, endedAtMs: now - age, bytes: 0 }));
    expect(outdatedLogs(logs, now, 1_000)).toEqual(['1000', '1001']);
  });
});
