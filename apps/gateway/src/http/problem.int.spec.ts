import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { endUpload } from './problem';

it('waits for no client that has gone before its upload was answered', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const upload = httpRequest({ port: (server.address() as AddressInfo).port, method: 'POST' });
    upload.on('error', () => undefined).write('the first of it');
    const [request, response] = (await once(server, 'request')) as [IncomingMessage, ServerResponse];
    const gone = new Promise((resolve) => request.on('error', () => undefined).once('close', resolve));
    upload.destroy();
    await gone;
    endUpload(request, response);
    expect(response.writableEnded).toBe(true);
  } finally {
    server.close();
  }
});
