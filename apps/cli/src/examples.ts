import { calledAs } from './called-as';

/** The end of every help text: commands to copy. */
export function examples(lines: readonly (readonly [command: string, meaning: string])[]): string {
  const shown = lines.map(
    ([command, meaning]) => [command.replace(/\balto (?=[a-z-])/, `${calledAs} `), meaning] as const,
  );
  const width = Math.max(...shown.map(([command]) => command.length));
  return ['', 'Examples:', ...shown.map(([command, meaning]) => `  $ ${command.padEnd(width)}   ${meaning}`)].join(
    '\n',
  );
}
