import { Readable } from 'node:stream';
import { parseJson, readJsonBody } from './json-body';

const limits = { bytesMax: 100, depthMax: 4, elementsMax: 1_000_000, timeoutMs: 50 };
const json = { 'content-type': 'application/json; charset=utf-8' };
const read = (text: string | Buffer, headers = json as Record<string, string>) =>
  readJsonBody(Readable.from([Buffer.from(text)]), headers, limits);

describe('readJsonBody', () => {
  it('reads JSON, and takes no body for none', async () => {
    expect(await read('{"a":[1,"ü"]}')).toEqual({ a: [1, 'ü'] });
    expect(await readJsonBody(Readable.from([]), {}, limits)).toBeUndefined();
    expect(await read('{}', { 'content-type': 'application/merge-patch+json' })).toEqual({});
  });

  it('refuses what is too large, said or found', async () => {
    await expect(read('{}', { ...json, 'content-length': '101' })).rejects.toMatchObject({ code: 'too_large' });
    await expect(read(`"${'x'.repeat(99)}"`)).rejects.toMatchObject({ code: 'too_large' });
  });

  it('refuses other content types', async () => {
    for (const type of ['text/plain', '', 'application/jsonx']) {
      await expect(read('{}', { 'content-type': type })).rejects.toMatchObject({ code: 'unsupported_media_type' });
    }
    await expect(read('{}', { ...json, 'content-encoding': 'gzip' })).rejects.toMatchObject({
      code: 'unsupported_media_type',
    });
  });

  it('refuses bytes that are not UTF-8 and text that is not JSON', async () => {
    await expect(read(Buffer.from([0x22, 0xff, 0x22]))).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(read('{"a":')).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('cuts a client that does not finish', async () => {
    const endless = new Readable({ read: () => undefined });
    endless.push('{');
    await expect(readJsonBody(endless, json, limits)).rejects.toMatchObject({ code: 'request_timeout' });
  });
});

describe('parseJson', () => {
  it('limits depth without being misled by text', () => {
    expect(parseJson(Buffer.from('[[[["[[[[[[\\"]]"]]]]'), limits)).toBeDefined();
    expect(() => parseJson(Buffer.from('[[[[[]]]]]'), limits)).toThrow('deeper than 4');
    expect(() => parseJson(Buffer.from('[{'.repeat(400_000)), { ...limits, depthMax: 32 })).toThrow('deeper than 32');
  });

  it('limits how many values there are, also where they cost few bytes', () => {
    const few = { ...limits, elementsMax: 4 };
    expect(parseJson(Buffer.from('{"a":[1,2],"b,,,,":"[,]"}'), few)).toBeDefined();
    for (const many of ['[1,2,3,4,5]', '[[],[],[]]', '{"a":{},"b":{},"c":1}'])
      expect(() => parseJson(Buffer.from(many), few)).toThrow('more than 4 values');
  });
});
