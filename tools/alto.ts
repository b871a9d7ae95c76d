/** `./alto up` from a clone: makes sure of servers and releases first, like `npm start`. */
import { runCommand } from './command.ts';

process.exitCode = await runCommand(process.argv.slice(2));
