/** What a crashed starter left besides sandboxes: image views, devices, id ranges, its registration. */
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { claimsOf, releaseSlot } from './id-claims.ts';
import { emptyIfAbsent, isStarterAlive, registeredStarters, unregisterStarter } from './starters.ts';
import { type TraceHost, tracedNames, unmountBelow } from './traces.ts';

/**
 * Sweeps all starters of this install that are dead and have no sandbox left; those that have one keep their
 * id ranges until it is removed.
 */
export async function sweepDeadStarters(host: TraceHost): Promise<void> {
  const { places } = host;
  const known = await knownStarters(host);
  const names = await tracedNames(host);
  const busy = new Set([...names].map((name) => places.parseName(name)?.starter));
  for (const starter of known) {
    if (starter === places.starter || busy.has(starter)) continue;
    if (await isStarterAlive(places.runtimeDir, starter)) continue;
    await sweepStarter(host, starter);
  }
}

/** Removes everything of one starter of which no sandbox is left. */
export async function sweepStarter(host: TraceHost, starter: string): Promise<void> {
  const { places } = host;
  const [views, devices] = [places.viewsDir(starter), places.devicesDir(starter)];
  await unmountBelow(host, [views, devices]);
  for (const directory of [views, devices, places.copiesDir(starter)]) {
    await rm(directory, { recursive: true, force: true });
  }
  for (const claim of await claimsOf(places.install)) {
    if (claim.starter === starter) await releaseSlot(claim.slot, claim);
  }
  await unregisterStarter(places.runtimeDir, starter);
}

async function knownStarters(host: TraceHost): Promise<Set<string>> {
  const { places } = host;
  const known = new Set(await registeredStarters(places.runtimeDir));
  for (const claim of await claimsOf(places.install)) known.add(claim.starter);
  for (const directory of [places.viewsDir(''), places.devicesDir('')]) {
    for (const name of await readdir(directory).catch(emptyIfAbsent)) known.add(name);
  }
  const copies = path.basename(places.copiesDir(''));
  for (const name of await readdir(places.stateDir).catch(emptyIfAbsent)) {
    if (name.startsWith(copies)) known.add(name.slice(copies.length));
  }
  return known;
}
