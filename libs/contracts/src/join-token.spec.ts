import { type AltoError, toProblem } from './errors';
import { decodeJoinToken, encodeJoinToken } from './join-token';

const token = {
  node: 'node_1',
  natsUrl: 'nats://10.0.0.1:14100',
  credentials: '-----BEGIN NATS USER JWT-----\nabc – ä\n',
  callerPublicKeys: 'key',
  masterKeys: 'secret-of-the-master\n',
};

describe('a token for joining', () => {
  it('gives back what went in, white space around it or not', () => {
    expect(decodeJoinToken(`  ${encodeJoinToken(token)}\n`)).toEqual(token);
  });

  it('is one word that a shell leaves as it is', () => {
    expect(encodeJoinToken(token)).toMatch(/^[\w.-]+$/);
  });

  it.each([
    '',
    'token',
    'alto-node-1',
    'alto-node-1.',
    'alto-node-2.e30',
    `alto-node-1.${Buffer.from('{"node":"node_1","masterKeys":"secret-of-the-master"}').toString('base64url')}`,
    encodeJoinToken(token).slice(0, -20),
    `${encodeJoinToken(token)}.more`,
  ])('is refused when it is not whole, and nothing of it is shown (%#)', (text) => {
    let message = '';
    try {
      decodeJoinToken(text);
    } catch (error) {
      message = JSON.stringify(toProblem(error as AltoError));
    }
    expect(message).toContain('alto nodes token');
    expect(message).not.toContain('secret-of-the-master');
  });
});
