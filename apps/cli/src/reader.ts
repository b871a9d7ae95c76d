/** Who reads what the command prints may leave before its end: `alto logs hello -f | head`. */
import { exitCodes } from './failure';

interface Printed {
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
}

/** The command ends without a word then, as other programs do; any other failure to print is a fault. */
export function endWithReader(printed: Printed, exit: (code: number) => void): void {
  printed.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error;
    exit(exitCodes.readerGone);
  });
}
