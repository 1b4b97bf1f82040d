import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { findDebianMirror, sourcesFor } from './debian-mirror.ts';

it('finds a private mirror in both notations, whatever release the host has', async () => {
  const mirror = {
    archive: 'https://mirror.example/debian',
    security: 'https://mirror.example/debian-security',
  };
  const lines = [
    '# deb http://commented.example/debian bookworm main',
    'deb-src http://sources.example/debian bookworm main',
    'deb https://third.example/tools bookworm main',
    'deb [arch=amd64 signed-by=/x] https://mirror.example/debian/ bookworm main contrib',
    'deb https://mirror.example/debian-security bookworm-security main',
  ];
  const stanzas = [
    'Types: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\nEnabled: no\n',
    'Types: deb\n# a remark\nURIs: https://mirror.example/debian\nSuites: trixie trixie-updates\nComponents: main\n',
    'Types: deb deb-src\nURIs:\n https://mirror.example/debian-security/\nSuites: trixie-security\nComponents: main\n',
  ];
  for (const [file, text] of [
    ['sources.list', lines.join('\n')],
    ['sources.list.d/debian.sources', stanzas.join('\n')],
  ] as const) {
    using directory = createTemporaryDirectory();
    mkdirSync(join(directory.path, 'sources.list.d'));
    writeFileSync(join(directory.path, file), text);
    assert.deepEqual(await findDebianMirror(directory.path), mirror, file);
  }
});

it('finds none where apt has none', async () => {
  using directory = createTemporaryDirectory();
  assert.equal(await findDebianMirror(directory.path), undefined);
});

it('writes the sources of a release, with security updates where the host has them', () => {
  const archive = 'https://mirror.example/debian';
  const main = `deb ${archive} bookworm main\ndeb ${archive} bookworm-updates main\n`;
  assert.equal(sourcesFor({ archive, security: undefined }, 'bookworm'), main);
  const security = 'https://mirror.example/security';
  assert.equal(
    sourcesFor({ archive, security }, 'bookworm'),
    `${main}deb ${security} bookworm-security main\n`,
  );
});
