// Runs in the network of the engine: makes each of its ports reachable by a unix socket, which has no network.
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

const [folder, ...ports] = process.argv.slice(2);
for (const port of ports) {
  createServer((outer) => {
    const inner = connect(Number(port), '127.0.0.1');
    for (const socket of [outer, inner]) socket.on('error', () => (outer.destroy(), inner.destroy()));
    outer.pipe(inner).pipe(outer);
  }).listen(join(folder, `${port}.sock`));
}
