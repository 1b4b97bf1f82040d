/** Which images a Dockerfile starts from; nothing else of it is understood here, buildah does that. */

/**
 * The external bases, in order and without repetition: earlier stages, `scratch`, numbers are not bases.
 * `ARG` defaults above the first FROM are filled in.
 * Source: the Dockerfile reference, FROM.
 */
export function basesOf(dockerfile: string): string[] {
  const stages = new Set<string>(['scratch']);
  const bases = new Set<string>();
  const args = new Map<string, string>();
  for (const line of instructionsOf(dockerfile)) {
    const [, name, value] = /^ARG\s+(\w+)=(\S*)/i.exec(line) ?? [];
    if (name !== undefined && bases.size === 0) args.set(name, unquoted(value ?? ''));
    const [, image, stage] = /^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?/i.exec(line) ?? [];
    if (image === undefined) continue;
    const base = filled(unquoted(image), args);
    if (!stages.has(base.toLowerCase())) bases.add(base);
    if (stage !== undefined) stages.add(stage.toLowerCase());
  }
  return [...bases, ...copiedFrom(dockerfile, stages)].filter((base, i, all) => all.indexOf(base) === i);
}

/** `COPY --from=image` takes files out of an image that no FROM names. */
function copiedFrom(dockerfile: string, stages: ReadonlySet<string>): string[] {
  return instructionsOf(dockerfile).flatMap((line) => {
    const [, image] = /^COPY\s+(?:--\S+\s+)*--from=(\S+)/i.exec(line) ?? [];
    return image === undefined || /^\d+$/.test(image) || stages.has(image.toLowerCase()) ? [] : [image];
  });
}

/** Lines joined where they are continued, comments left out. */
function instructionsOf(dockerfile: string): string[] {
  const lines = dockerfile.split(/\r?\n/).filter((line) => !/^\s*#/.test(line));
  return lines
    .join('\n')
    .replace(/\\[ \t]*\n/g, ' ')
    .split('\n')
    .map((line) => line.trim());
}

function filled(text: string, args: ReadonlyMap<string, string>): string {
  return text.replace(/\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)/g, (_all, braced, fallback, bare) => {
    return args.get(braced ?? bare) ?? fallback ?? '';
  });
}

function unquoted(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2');
}
