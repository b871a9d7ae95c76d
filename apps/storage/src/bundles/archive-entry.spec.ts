import { ArchiveCheck, type ArchiveEntry } from './archive-entry';

const limits = { entriesMax: 10, unpackedBytesMax: 1_000 };

function file(name: string, sizeBytes = 1): ArchiveEntry {
  return { name, type: 'file', sizeBytes };
}

function symlink(name: string, linkTarget: string): ArchiveEntry {
  return { name, type: 'symlink', sizeBytes: 0, linkTarget };
}

function link(name: string, linkTarget: string): ArchiveEntry {
  return { name, type: 'link', sizeBytes: 0, linkTarget };
}

function accept(...entries: ArchiveEntry[]): void {
  const check = new ArchiveCheck(limits);
  for (const entry of entries) check.accept(entry);
}

describe('ArchiveCheck', () => {
  it.each<[string, ArchiveEntry[]]>([
    ['files and folders', [{ name: './', type: 'directory', sizeBytes: 0 }, file('./index.js'), file('lib/a.js')]],
    ['a file twice', [file('a'), file('a')]],
    ['a link to a neighbour', [file('a'), symlink('b', 'a')]],
    ['a link up within the tree', [file('pkg/cli.js'), symlink('node_modules/.bin/cli', '../../pkg/cli.js')]],
    ['a link to the root of the tree', [symlink('a/here', '..')]],
    ['a hard link to a file before it', [file('a'), link('b', './a')]],
    ['dots within names', [file('a..b/..c')]],
  ])('accepts %s', (_, entries) => {
    expect(() => accept(...entries)).not.toThrow();
  });

  it.each<[string, ArchiveEntry[], string]>([
    ['an absolute name', [file('/etc/passwd')], 'absolute path'],
    ['a name that climbs', [file('a/../../b')], 'leaves the archive'],
    ['a NUL in a name', [file('a\0b')], 'NUL'],
    ['a long part', [file('a'.repeat(256))], '255 bytes'],
    ['a long path', [file('abcdefg/'.repeat(600) + 'x')], '4096 bytes'],
    ['no name', [file('./')], 'no name'],
    ['a device', [{ name: 'tty', type: 'character-device', sizeBytes: 0 }], 'character-device'],
    ['a fifo', [{ name: 'pipe', type: 'fifo', sizeBytes: 0 }], 'fifo'],
    ['an absolute link', [symlink('a', '/etc')], 'absolute path'],
    ['a link out of the tree', [symlink('a/b', '../../c')], 'outside the archive'],
    ['a link that climbs after a name', [symlink('a/l', '..'), symlink('b', 'a/l/..')], "'..' after a name"],
    ['an empty link', [symlink('a', '')], 'links to nothing'],
    ['a file below a link', [symlink('a', 'b'), file('a/c')], 'came before as a link'],
    ['a link in place of a folder', [file('a/c'), symlink('a', 'b')], 'came before as a directory'],
    ['a file through a link of its name', [symlink('a', 'b'), file('a')], 'came before as a link'],
    ['a link twice', [symlink('a', 'b'), symlink('a', 'c')], 'came before as a link'],
    ['a file as a folder', [file('a'), file('a/b')], 'came before as a file'],
    ['a hard link to nothing', [link('b', 'a')], 'no file before it'],
    ['a hard link to a symbolic link', [symlink('a', 'x'), link('b', 'a')], 'no file before it'],
    ['a hard link out of the tree', [link('b', '../a')], 'leaves the archive'],
    ['too many entries', Array.from({ length: 11 }, (_, index) => file(`f${index}`)), '10 entries'],
    ['too many bytes', [file('a', 600), file('b', 600)], '1000 bytes'],
  ])('refuses %s and names the entry', (_, entries, why) => {
    const culprit = entries.at(-1)!.name;
    expect(() => accept(...entries)).toThrow(
      expect.objectContaining({ code: 'unprocessable', message: expect.stringContaining(why) }),
    );
    expect(() => accept(...entries)).toThrow(
      expect.objectContaining({ details: { entry: culprit.length > 200 ? `${culprit.slice(0, 200)}…` : culprit } }),
    );
  });
});
