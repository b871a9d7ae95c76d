/**
 * `npm start`: fetches the servers, builds the services, starts Alto in the foreground with the example app.
 * A second start finds everything there and loses nothing.
 */
import { fileURLToPath } from 'node:url';
import { runCommand } from './command.ts';

const example = fileURLToPath(new URL('../examples/hello', import.meta.url));
process.exitCode = await runCommand(['up', '--deploy', example, '--host', '*', ...process.argv.slice(2)]);
