import { readFileSync } from 'node:fs';
import type { RawContainer } from '../../src/docker/container-types.ts';
import { engineFacts } from '../../src/docker/engine-facts.ts';
import type { EngineFacts, RawInfo, RawVersion } from '../../src/docker/engine-facts.ts';
import { toCapture } from '../../src/docker/container-capture.ts';
import type { ContainerCapture } from '../../src/docker/container-capture.ts';
import type { RawImage } from '../../src/docker/image-capture.ts';
import type { RawNetwork } from '../../src/docker/network-capture.ts';
import type { RawVolume } from '../../src/docker/volume-capture.ts';

/** Answers of a Docker 20.10.24, as they came. */
function recorded(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`fixtures/${name}-20.10.json`, import.meta.url), 'utf8'));
}

export const containers = recorded('containers') as Record<'full' | 'dep' | 'plain', RawContainer>;
export const networks = recorded('networks') as Record<'netone' | 'nettwo' | 'bridge', RawNetwork>;
export const volumes = recorded('volumes') as Record<'named' | 'tmpvol' | 'drv', RawVolume>;
export const image = recorded('image') as {
  inspect: RawImage;
  save: { name: string; type: string; size: number; content?: string }[];
};
export const engine = recorded('engine') as { version: RawVersion; info: RawInfo };

export function facts(changes: Partial<EngineFacts> = {}): EngineFacts {
  return { ...engineFacts(engine.version, engine.info, '1.41'), ...changes };
}

export function capture(name: keyof typeof containers, changes: Partial<EngineFacts> = {}): ContainerCapture {
  const names = new Map(Object.values(containers).map((raw) => [raw.Id, raw.Name.slice(1)]));
  return toCapture(containers[name], facts(changes), (id) => names.get(id) ?? id);
}
