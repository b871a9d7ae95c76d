/** Texts name commands as `alto …`; people are shown them as they have to be typed. */
import { runsFromClone } from './local/releases';

export const calledAs = runsFromClone() ? './alto' : 'alto';

/** @param text in which commands stand in backquotes */
export function asCalled(text: string, name: string = calledAs): string {
  return text.replaceAll(/`((?:[A-Z_]+=\S+ )*)alto(?=[ `])/g, (_, settings: string) => `\`${settings}${name}`);
}
