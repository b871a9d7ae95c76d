/** `./alto up` from a clone: makes sure of servers and releases first, like `npm start`. */
import { prepare } from './prepare.ts';

const { command } = await prepare();
process.exitCode = await command(process.argv.slice(2));
