import { EventEmitter } from 'node:events';
import { endWithReader } from './reader';

function failing(code: string): number[] {
  const printed = new EventEmitter();
  const ended: number[] = [];
  endWithReader(printed, (exitCode) => ended.push(exitCode));
  printed.emit('error', Object.assign(new Error(`write ${code}`), { code }));
  return ended;
}

it('ends the command when nobody reads on', () => {
  expect(failing('EPIPE')).toEqual([141]);
});

it('hides no other failure to print', () => {
  expect(() => failing('ENOSPC')).toThrow('write ENOSPC');
});
