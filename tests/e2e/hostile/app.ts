/** Programs that a machine must stand: each is one `node -e`, and does its worst at once. */

const server = (body: string) =>
  `require('node:http').createServer(async (request, response) => { ${body} }).listen(process.env.PORT, process.env.HOST);`;

const serves = server(`response.end('here');`);

/** Answers what it could read and reach of TARGETS: `{ files: string[], sockets: string[], addresses: string[] }`. */
const curious = `
  const { readFileSync, readdirSync, statSync } = require('node:fs');
  const { connect } = require('node:net');
  const read = (path) => { try { return statSync(path).isDirectory() ? readdirSync(path).length > 0 : readFileSync(path).length >= 0; } catch { return false; } };
  const reach = (target) => new Promise((done) => {
    const socket = connect(target).setTimeout(2000);
    socket.on('connect', () => { socket.destroy(); done(true); }).on('timeout', () => { socket.destroy(); done(false); }).on('error', () => done(false));
  });
  const split = (address) => ({ host: address.split(':')[0], port: Number(address.split(':')[1]) });
  ${server(`
    if (request.url === '/') return response.end('here');
    const { files, sockets, addresses } = JSON.parse(process.env.TARGETS);
    const own = new URL(process.env.ALTO_APPS_URL);
    const reached = [];
    for (const file of files) if (read(file)) reached.push(file);
    for (const path of sockets) if (await reach({ path })) reached.push(path);
    for (const address of addresses) if (await reach(split(address))) reached.push(address);
    response.end(JSON.stringify({ reached, proxy: await reach({ host: own.hostname, port: Number(own.port) }) }));
  `)}`;

export const programs = {
  neighbour: serves,
  curious,
  growing: `${serves} const kept = []; setTimeout(() => setInterval(() => kept.push(Buffer.alloc(8 << 20, 1)), 5), 1000);`,
  forking: `${serves} const { spawn } = require('node:child_process');
    setInterval(() => { for (let n = 0; n < 20; n++) spawn('sleep', ['1000']).on('error', () => undefined); }, 50);`,
  loud: `${serves} const line = 'x'.repeat(1000) + '\\n';
    let left = 12_000;
    const flood = setInterval(() => {
      for (let n = 0; n < 500; n++) require('node:fs').writeSync(1, line);
      if ((left -= 500) <= 0) clearInterval(flood);
    }, 20);`,
  filling: `${serves} const block = Buffer.alloc(4 << 20, 1);
    setTimeout(() => setInterval(() => require('node:fs').appendFileSync(process.env.TMPDIR + '/waste', block), 20), 1000);`,
  deaf: `process.on('SIGTERM', () => console.log('no')); ${serves}`,
  late: `setTimeout(() => { ${serves} }, 5000);`,
  never: `setInterval(() => undefined, 1000);`,
} as const;

export type Behaviour = keyof typeof programs;
