/** How HAProxy's configuration calls the places of a layout. */
export const backendName = (number: number): string => `app_${number}`;
export const isBackendName = (name: string): boolean => name.startsWith('app_');
/** @param index from 0 */
export const slotName = (index: number): string => `s${index + 1}`;
