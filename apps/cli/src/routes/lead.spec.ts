import { leadOf } from './lead';

describe('where a route leads', () => {
  it('is one app, several by weight, or elsewhere', () => {
    expect(leadOf({ app: ['shop'] })).toEqual({ app: 'shop' });
    expect(leadOf({ app: ['shop=90', 'next=10'] })).toEqual({
      apps: [
        { app: 'shop', weight: 90 },
        { app: 'next', weight: 10 },
      ],
    });
    expect(leadOf({ redirect: 'https://shop.example.com', status: 302, keepPath: true })).toEqual({
      redirect: { to: 'https://shop.example.com', status: 302, keepPath: true },
    });
  });

  it('is one of these and not two', () => {
    expect(() => leadOf({})).toThrow(/either --app or --redirect/);
    expect(() => leadOf({ app: ['shop'], redirect: '/shop' })).toThrow(/either --app or --redirect/);
    expect(() => leadOf({ app: ['shop', 'next'] })).toThrow(/'shop' has no weight/);
  });

  it('comes with headers that are set, or removed where they have no value', () => {
    expect(leadOf({ app: ['shop'], requestHeader: ['X-Tenant: a:b', 'Cookie'], responseHeader: ['Server:'] })).toEqual({
      app: 'shop',
      headers: {
        request: { set: { 'X-Tenant': 'a:b' }, remove: ['Cookie'] },
        response: { set: {}, remove: ['Server'] },
      },
    });
  });
});
