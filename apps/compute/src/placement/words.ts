/** Quantities and lists as people read them, for `status.reason`. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** 2147483648 → `2 GiB`; at most one decimal. */
export function bytesInWords(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** 1500 → `1.5 CPUs`. */
export function cpuInWords(millis: number): string {
  const cpus = Number((Math.max(0, millis) / 1000).toFixed(2));
  return cpus === 1 ? '1 CPU' : `${cpus} CPUs`;
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `a, b, c and 4 more`: a list that stays readable however long it is. */
export function listed(items: readonly string[], max = 3): string {
  if (items.length <= max) return items.join(', ');
  return `${items.slice(0, max).join(', ')} and ${items.length - max} more`;
}
