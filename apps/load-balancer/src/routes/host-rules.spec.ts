import { refuseHost } from './host-rules';

const developer = { isOperator: false, projectName: 'acme' };

it.each(['www.example.com', 'shop.acme.localhost', 'acme.localhost', 'a.b.acme.localhost', 'localhost.example.com'])(
  'a project may claim %s',
  (host) => {
    expect(() => refuseHost(host, 'localhost', developer)).not.toThrow();
  },
);

it.each([
  ['*', 'forbidden'],
  ['localhost', 'forbidden'],
  ['shop.other.localhost', 'already_exists'],
  ['other.localhost', 'already_exists'],
  ['acme.other.localhost', 'already_exists'],
])('a project may not claim %s', (host, code) => {
  expect(() => refuseHost(host, 'localhost', developer)).toThrow(expect.objectContaining({ code, field: 'host' }));
  expect(() => refuseHost(host, 'localhost', { isOperator: true, projectName: null })).not.toThrow();
});
