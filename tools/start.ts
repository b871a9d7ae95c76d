/**
 * `npm start`: fetches the servers, builds the services, starts Alto in the foreground with the example app.
 * A second start finds everything there and loses nothing.
 */
import { join } from 'node:path';
import { prepare, repository } from './prepare.ts';

const { command } = await prepare();
process.exitCode = await command(['up', '--deploy', join(repository, 'examples', 'hello'), '--host', '*']);
