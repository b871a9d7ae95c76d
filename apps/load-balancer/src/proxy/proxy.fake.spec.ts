import { describeProxyEngine } from './proxy.conformance';
import { FakeProxy } from './proxy.fake';

describeProxyEngine('the fake', () => {
  const fake = new FakeProxy();
  return Promise.resolve({
    engines: fake,
    instance: (id) => Promise.resolve({ id, address: '127.0.0.1', port: 1, state: 'ready' }),
    kill: (id) => Promise.resolve(void fake.down.add(id)),
    answering: (host, path) => Promise.resolve(fake.answering(host, path)),
    dispose: () => Promise.resolve(),
  });
});
