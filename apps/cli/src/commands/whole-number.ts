import { InvalidArgumentError } from 'commander';

/** For options and arguments that count something. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0)
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}
